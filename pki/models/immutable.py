"""What must not change, held by the database itself: triggers on SQLite and PostgreSQL.

They are (re)made after every `migrate`, because Django's SQLite migrations rebuild a table to alter
it, and a rebuilt table has lost its triggers.
"""

from collections.abc import Iterator
from typing import Any

from django.db import connections

# Table → the columns that never change, or None for all of them.
IMMUTABLE: dict[str, tuple[str, ...] | None] = {
    "pki_auditevent": None,
    "pki_revocation": None,
    "pki_certificate": (
        "issuer_id",
        "serial",
        "fingerprint",
        "profile_id",
        "device_id",
        "listener",
        "key_reference",
        "common_name",
        "sans",
        "spki_sha256",
        "not_before",
        "not_after",
        "issued_at",
        "der",
    ),
    "pki_subjectaltname": None,
    "pki_issuer": ("parent_id", "key_reference", "key_identifier", "certificate_der", "fingerprint"),
}


def make_triggers(*, using: str, **_: Any) -> None:
    """Receiver of post_migrate."""
    connection = connections[using]
    with connection.cursor() as cursor:
        present = set(connection.introspection.table_names(cursor))
        for table, columns in IMMUTABLE.items():
            if table in present:
                for statement in _statements(connection.vendor, table, columns):
                    cursor.execute(statement)


def _statements(vendor: str, table: str, columns: tuple[str, ...] | None) -> Iterator[str]:
    # Table and column names are the constants above, nothing from outside.
    of = f"UPDATE OF {', '.join(columns)}" if columns else "UPDATE"
    message = f"{table}: what was signed or recorded never changes"
    if vendor == "sqlite":
        yield f"DROP TRIGGER IF EXISTS {table}_immutable"
        yield (
            f"CREATE TRIGGER {table}_immutable BEFORE {of} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
        )
    elif vendor == "postgresql":
        yield (
            f"CREATE OR REPLACE FUNCTION {table}_immutable() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{message}' USING ERRCODE = 'integrity_constraint_violation'; END $$"
        )
        yield (
            f"CREATE OR REPLACE TRIGGER {table}_immutable BEFORE {of} ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION {table}_immutable()"
        )
