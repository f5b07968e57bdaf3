"""Statements that the ORM writes once, and that are run past it, for what each request asks.

To put a query together anew takes the ORM ten to thirty times as long as the database takes to answer it.
What is run is what the ORM wrote: columns, joins and conversions stay its own.
"""

from collections import namedtuple
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import (
    AutoField,
    CharField,
    DateTimeField,
    Expression,
    Field,
    ForeignKey,
    IntegerField,
    Model,
    QuerySet,
)
from django.db.models.query import get_related_populators
from django.db.models.sql import InsertQuery, UpdateQuery

Row = TypeVar("Row", bound=Model)

# Fields that hand the database a text, a number or nothing as it is.
_PLAIN_FIELDS = (AutoField, CharField, ForeignKey, IntegerField)
_PLAIN_VALUES = {str, int, type(None)}


class Asked(Expression):
    """Stands in a prepared query for a value that is known when it is run, by its name."""

    def __init__(self, name: str, output_field: "Field[Any, Any]") -> None:
        super().__init__(output_field=output_field)
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return "%s", [self]


@lru_cache(maxsize=256)
def _moment(value: datetime, vendor: str) -> Any:
    """What a database of this kind is given for a moment: a request stores its own a dozen times."""
    return connections[DEFAULT_DB_ALIAS].ops.adapt_datetimefield_value(value)


@dataclass(frozen=True)
class _Parameter:
    """Where a statement has a value that is asked for."""

    name: str
    field: "Field[Any, Any]"
    is_plain: bool
    is_moment: bool

    @classmethod
    def of(cls, asked: Asked) -> "_Parameter":
        field = asked.output_field
        return cls(asked.name, field, isinstance(field, _PLAIN_FIELDS), type(field) is DateTimeField)

    def value(self, values: dict[str, Any], connection: Any) -> Any:
        """What the database is given."""
        value = values[self.name]
        if self.is_plain and type(value) in _PLAIN_VALUES:
            return value
        if self.is_moment and type(value) is datetime:
            return _moment(value, connection.vendor)
        return self.field.get_db_prep_save(value, connection)


class _Statement:
    """SQL and the values that stand in it; columns are converted as their fields want it."""

    def __init__(self, compiler: Any, sql: str, parameters: Sequence[Any]) -> None:
        self._sql = sql
        self._parameters = [_Parameter.of(each) if isinstance(each, Asked) else each for each in parameters]
        selected = [column[0] for column in getattr(compiler, "select", None) or ()]
        self._converters = [
            (column, convert, expression)
            for column, (converters, expression) in compiler.get_converters(selected).items()
            for convert in converters
        ]

    def run(self, cursor: Any, values: dict[str, Any]) -> None:
        connection = cursor.db
        cursor.execute(
            self._sql,
            [
                each.value(values, connection) if type(each) is _Parameter else each
                for each in self._parameters
            ],
        )

    def fetch(self, values: dict[str, Any]) -> list[list[Any]]:
        connection = _connection()
        with _cursor(connection) as cursor:
            self.run(cursor, values)
            rows = [list(row) for row in cursor.fetchall()]
        for row in rows:
            for column, convert, expression in self._converters:
                row[column] = convert(row[column], expression, connection)
        return rows


class Rows:
    """A query for columns: a queryset with `values_list`, in which `Asked` stands for what differs."""

    def __init__(self, query: "Callable[[], QuerySet[Any, Any]]") -> None:
        """`query` makes the queryset, when it is first run: not before Django is set up."""
        self._written = cache(lambda vendor: self._write(query()))

    def all(self, **values: Any) -> list[Any]:
        """The rows, as named tuples."""
        statement, row = self._written(_connection().vendor)
        return [row._make(found) for found in statement.fetch(values)]

    def first(self, **values: Any) -> Any:
        """The first row, or None."""
        return next(iter(self.all(**values)), None)

    def _write(self, queryset: "QuerySet[Any, Any]") -> tuple[_Statement, Any]:
        query = queryset.query
        names = (*query.extra_select, *query.values_select, *query.annotation_select)
        return _written(query)[0], namedtuple("Row", names)


class Objects(Generic[Row]):
    """A query for models, with those that it selects along."""

    def __init__(self, query: "Callable[[], QuerySet[Row]]") -> None:
        """As of `Rows`."""
        self._written = cache(lambda vendor: self._write(query()))

    def all(self, **values: Any) -> list[Row]:
        """What is found, as the ORM would have made it."""
        statement, make = self._written(_connection().vendor)
        return [make(row) for row in statement.fetch(values)]

    def first(self, **values: Any) -> Row | None:
        """The first, or None."""
        return next(iter(self.all(**values)), None)

    def one(self, **values: Any) -> Row:
        """The first. Raises LookupError if there is none."""
        found = self.first(**values)
        if found is None:
            raise LookupError(f"There is nothing of {values}.")
        return found

    def _write(self, queryset: "QuerySet[Row]") -> tuple[_Statement, Callable[[list[Any]], Row]]:
        statement, compiler = _written(queryset.query)
        # As django.db.models.query.ModelIterable does.
        known = compiler.klass_info
        start, end = known["select_fields"][0], known["select_fields"][-1] + 1
        columns = [selected[0].target.attname for selected in compiler.select[start:end]]
        get_populators: Any = get_related_populators  # the stubs are of another version
        populators = get_populators(known, compiler.select, DEFAULT_DB_ALIAS)

        def make(row: list[Any]) -> Row:
            made: Row = known["model"].from_db(DEFAULT_DB_ALIAS, columns, row[start:end])
            for populator in populators:
                populator.populate(row, made)
            return made

        return statement, make


class Update:
    """An UPDATE of what a queryset finds; `Asked` may stand in the one and in the other."""

    def __init__(self, query: "Callable[[], QuerySet[Any, Any]]", **changes: Any) -> None:
        """As of `Rows`; `changes` are those of `QuerySet.update`."""
        self._written = cache(lambda vendor: self._write(query(), changes))

    def run(self, **values: Any) -> int:
        """How many rows were changed."""
        connection = _connection()
        with _cursor(connection) as cursor:
            self._written(connection.vendor).run(cursor, values)
            changed: int = cursor.rowcount
        return changed

    def _write(self, queryset: "QuerySet[Any, Any]", changes: dict[str, Any]) -> _Statement:
        query: Any = queryset.query.chain(UpdateQuery)
        query.add_update_values(changes)
        compiler = query.get_compiler(DEFAULT_DB_ALIAS)
        return _Statement(compiler, *compiler.as_sql())


def insert(row: Row) -> Row:
    """Store a new row, and give it its number: as `save(force_insert=True)` does, but for its signals."""
    connection = _connection()
    statement, key = _insertion(type(row), connection.vendor)
    with _cursor(connection) as cursor:
        statement.run(cursor, row.__dict__)
        if key is not None:
            setattr(row, key, cursor.fetchone()[0])
    row._state.adding = False
    row._state.db = DEFAULT_DB_ALIAS
    return row


@cache
def _insertion(model: type[Model], vendor: str) -> tuple[_Statement, str | None]:
    """The INSERT of a table, and the attribute that it gives a value to, if there is one."""
    options = model._meta
    given = [field for field in options.concrete_fields if field is options.auto_field]
    fields = [field for field in options.local_concrete_fields if field not in given]
    template = model(**{field.attname: Asked(field.attname, field) for field in fields})
    query = InsertQuery(model)
    query.insert_values(fields, [template], raw=True)
    compiler = query.get_compiler(DEFAULT_DB_ALIAS)
    compiler.returning_fields = given
    ((sql, parameters),) = compiler.as_sql()
    return _Statement(compiler, sql, parameters), given[0].attname if given else None


def _written(query: Any) -> tuple[_Statement, Any]:
    compiler = query.get_compiler(DEFAULT_DB_ALIAS)
    return _Statement(compiler, *compiler.as_sql()), compiler


def _connection() -> Any:
    # Of this thread. Django's `connection` looks it up anew for each attribute.
    return connections[DEFAULT_DB_ALIAS]


def _cursor(connection: Any) -> Any:
    # SQLite's module keeps what it has planned by itself.
    return connection.preparing_cursor() if connection.vendor == "postgresql" else connection.cursor()
