"""Triggers that refuse a change of a row, on SQLite and PostgreSQL: made where they are missing or differ.

To make one on PostgreSQL takes a lock that every writer of the table waits for, so one that is as it should
be is left alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

# pg_trigger.tgtype: the bits for each row (1), before (2), and of the event.
_TYPES = {"DELETE": 1 + 2 + 8, "UPDATE": 1 + 2 + 16, "TRUNCATE": 2 + 32}


@dataclass(frozen=True)
class Rule:
    """What a table's rows may not do. All of it is SQL that is written in the code, nothing from outside."""

    table: str
    word: str  # which of the table's rules
    event: str  # UPDATE, DELETE, or TRUNCATE, which SQLite has not
    message: str
    columns: tuple[str, ...] = ()  # an update of these, if it is not of any
    when: str = ""  # the condition for a refusal, on OLD and NEW; empty for always

    @property
    def name(self) -> str:
        """Of the trigger, and of its function."""
        return f"{self.table}_{self.word}"

    @property
    def of(self) -> str:
        """The event with its columns, in SQL."""
        return f"{self.event} OF {', '.join(self.columns)}" if self.columns else self.event

    @property
    def each(self) -> str:
        """For what it fires, in SQL."""
        return "STATEMENT" if self.event == "TRUNCATE" else "ROW"


def make(connection: BaseDatabaseWrapper, rules: Iterable[Rule]) -> None:
    """Make what is missing or differs, for the tables that are there."""
    with connection.cursor() as cursor:
        present = set(connection.introspection.table_names(cursor))
        wanted = [rule for rule in rules if rule.table in present]
        if connection.vendor == "sqlite":
            _make_on_sqlite(cursor, [rule for rule in wanted if rule.event != "TRUNCATE"])
        elif connection.vendor == "postgresql":
            _make_on_postgresql(cursor, wanted)


def _make_on_sqlite(cursor: CursorWrapper, rules: list[Rule]) -> None:
    cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
    there = dict(cursor.fetchall())
    for rule in rules:
        when = f"WHEN {rule.when} " if rule.when else ""
        statement = (
            f"CREATE TRIGGER {rule.name} BEFORE {rule.of} ON {rule.table} FOR EACH ROW {when}"
            f"BEGIN SELECT RAISE(ABORT, '{rule.message}'); END"
        )
        if there.get(rule.name) != statement:
            cursor.execute(f"DROP TRIGGER IF EXISTS {rule.name}")
            cursor.execute(statement)


def _make_on_postgresql(cursor: CursorWrapper, rules: list[Rule]) -> None:
    functions, triggers = _functions(cursor), _triggers(cursor)
    for rule in rules:
        body = _body(rule)
        if functions.get(rule.name) != ("plpgsql", body):
            cursor.execute(
                f"CREATE OR REPLACE FUNCTION {rule.name}() RETURNS trigger LANGUAGE plpgsql AS $${body}$$"
            )
        as_it_should = ("O", _TYPES[rule.event], True, rule.name, sorted(rule.columns))
        if triggers.get((rule.table, rule.name)) != as_it_should:
            cursor.execute(
                f"CREATE OR REPLACE TRIGGER {rule.name} BEFORE {rule.of} ON {rule.table} "
                f"FOR EACH {rule.each} EXECUTE FUNCTION {rule.name}()"
            )


def _body(rule: Rule) -> str:
    # The condition stands in here and not in the trigger's WHEN, which PostgreSQL keeps in words of its own
    # that differ from version to version.
    refusal = f"RAISE EXCEPTION '{rule.message}' USING ERRCODE = 'integrity_constraint_violation';"
    if not rule.when:
        return f" BEGIN {refusal} END "
    row = "OLD" if rule.event == "DELETE" else "NEW"
    return f" BEGIN IF {rule.when} THEN {refusal} END IF; RETURN {row}; END "


def _functions(cursor: CursorWrapper) -> dict[str, tuple[str, str]]:
    """Name → language and body."""
    cursor.execute(
        "SELECT p.proname, l.lanname, p.prosrc FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang "
        "WHERE p.prorettype = 'trigger'::regtype AND pg_function_is_visible(p.oid)"
    )
    return {name: (language, body) for name, language, body in cursor.fetchall()}


def _triggers(cursor: CursorWrapper) -> dict[tuple[str, str], tuple[Any, ...]]:
    """Table and name → whether it fires (O), its type, whether it has no WHEN, its function, its columns."""
    cursor.execute(
        "SELECT c.relname, t.tgname, t.tgenabled::text, t.tgtype, t.tgqual IS NULL, p.proname, "
        "ARRAY(SELECT a.attname::text FROM pg_attribute a "
        "WHERE a.attrelid = t.tgrelid AND a.attnum = ANY (t.tgattr::int2[])) "
        "FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid "
        "WHERE NOT t.tgisinternal AND pg_table_is_visible(c.oid)"
    )
    return {
        (table, name): (fires, kind, no_when, function, sorted(columns))
        for table, name, fires, kind, no_when, function, columns in cursor.fetchall()
    }
