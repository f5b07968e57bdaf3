"""What was made in the database and in a folder, put back for the next test: making it anew takes long.

Rows are kept as the database has them. Where a test's transactions are real, all is made anew.
"""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from django.db import connection

# What tests see is nearly of this moment: clocks go on, and what was not done for a minute is late.
FRESH_FOR = timedelta(seconds=50)

# By table, and SQLite's number of the row; PostgreSQL has none that stays, so that there a row is its text.
Rows = dict[str, dict[Any, tuple[Any, ...]]]
Files = dict[Path, tuple[bytes, int]]  # content and mode by path in the folder


@dataclass(frozen=True)
class Snapshot:
    """Rows and files that are new or changed, rows that are gone, and what the maker returned."""

    at: datetime
    below: Self | None  # what was there before
    rows: dict[str, list[tuple[Any, ...]]]
    gone: dict[str, list[tuple[Any]]]
    files: Files
    result: bytes  # pickled, so that each test has its own

    def put_back(self, folder: Path) -> Any:
        if connection.vendor == "sqlite":
            self._put_back_rows()
        else:
            self._put_back_texts()
        for path, (content, mode) in self.files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            target.write_bytes(content)
            target.chmod(mode)
        return pickle.loads(self.result)  # noqa: S301  our own

    def _put_back_rows(self) -> None:
        with connection.cursor() as cursor:
            for table, numbers in self.gone.items():
                cursor.executemany(f'DELETE FROM "{table}" WHERE rowid = %s', numbers)  # noqa: S608
            for table, rows in self.rows.items():
                places = ", ".join(["%s"] * len(rows[0]))
                cursor.executemany(f'INSERT OR REPLACE INTO "{table}" VALUES ({places})', rows)  # noqa: S608

    def _put_back_texts(self) -> None:
        with connection.cursor() as cursor:
            # No trigger asks what goes or in which order it comes: it was all there in this way.
            cursor.execute("SET LOCAL session_replication_role = replica")
            for table, gone in self.gone.items():
                texts = [text for (text,) in gone]
                cursor.execute(f'DELETE FROM "{table}" t WHERE t::text = ANY(%s)', [texts])  # noqa: S608
            for table, rows in self.rows.items():
                texts = [text for (text,) in rows]
                cursor.execute(
                    f'INSERT INTO "{table}" SELECT * FROM unnest(%s::text[]::"{table}"[])',  # noqa: S608
                    [texts],
                )
            cursor.execute("SET LOCAL session_replication_role = origin")


_SNAPSHOTS: dict[str, Snapshot] = {}


def made(name: str, folder: Path, now: datetime, make: Callable[[], Any], *, on: str = "") -> Any:
    """What `make` makes in the database and in `folder`, and returns; put back if it was made a moment ago.

    `on` is the snapshot that the test has already; without it the database is as `migrate` leaves it.
    """
    if not connection.in_atomic_block:
        return make()
    below, kept = _SNAPSHOTS.get(on), _SNAPSHOTS.get(name)
    if kept is not None and kept.below is below and now - FRESH_FOR < kept.at <= now:
        return kept.put_back(folder)
    rows, files = _rows(), _files(folder)
    result = make()
    after = _rows()
    _SNAPSHOTS[name] = Snapshot(
        now,
        below,
        _new(rows, after),
        _gone(rows, after),
        {path: file for path, file in _files(folder).items() if file != files.get(path)},
        pickle.dumps(result),
    )
    return result


def _rows() -> Rows:
    with connection.cursor() as cursor:
        found: Rows = {}
        for table in connection.introspection.table_names(cursor):
            columns = "rowid, *" if connection.vendor == "sqlite" else "t::text, t::text"
            cursor.execute(f'SELECT {columns} FROM "{table}" t')  # noqa: S608
            found[table] = {row[0]: row[1:] for row in cursor.fetchall()}
        return found


def _new(before: Rows, after: Rows) -> dict[str, list[tuple[Any, ...]]]:
    """The rows that are new or changed, in their order."""
    found = {
        table: [row for number, row in rows.items() if row != before[table].get(number)]
        for table, rows in after.items()
    }
    return {table: rows for table, rows in found.items() if rows}


def _gone(before: Rows, after: Rows) -> dict[str, list[tuple[Any]]]:
    found = {
        table: [(number,) for number in rows.keys() - after[table].keys()] for table, rows in before.items()
    }
    return {table: numbers for table, numbers in found.items() if numbers}


def _files(folder: Path) -> Files:
    return {
        path.relative_to(folder): (path.read_bytes(), path.stat().st_mode & 0o777)
        for path in folder.rglob("*")
        if path.is_file()
    }
