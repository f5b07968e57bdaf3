"""How long a change of tables waits for PostgreSQL's locks, and whom it waits for.

Whoever waits for a table's lock lets every later writer of the table wait behind it. So `migrate` waits for a
moment only, and tries again. SQLite has one writer at a time and its own time limit.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from pki.core import names

SECONDS = 2
_LOCK_NOT_AVAILABLE = "55P03"  # PostgreSQL's documentation, appendix A


def is_one(error: OperationalError) -> bool:
    """Whether this says that a lock was not free in time."""
    return getattr(error.__cause__, "sqlstate", None) == _LOCK_NOT_AVAILABLE


@contextmanager
def short(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Let this connection wait for a lock for SECONDS; then comes an OperationalError that `is_one`."""
    with _set_to(connection, f"{SECONDS}s"):
        yield


@contextmanager
def without_end(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Let this connection wait as long as it takes, for what nobody waits behind."""
    with _set_to(connection, "0"):
        yield


def holders(connection: BaseDatabaseWrapper) -> list[tuple[int, str]]:
    """Who has had locks of tables here for longer than SECONDS: process ids, and each in words."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid, application_name, coalesce(usename, backend_type), host(client_addr), state, "
            "extract(epoch FROM clock_timestamp() - xact_start)::bigint FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND xact_start < clock_timestamp() - make_interval(secs => %s) "
            "AND pid IN (SELECT pid FROM pg_locks WHERE granted AND locktype = 'relation' "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) "
            "ORDER BY xact_start",
            [SECONDS],
        )
        return [(row[0], _in_words(*row)) for row in cursor.fetchall()]


def _in_words(
    pid: int, program: str | None, user: str | None, address: str | None, state: str | None, seconds: int
) -> str:
    # A program names itself as it likes.
    who = ", ".join(filter(None, (names.printable(program or ""), user, address)))
    return f"process {pid} ({who}), {state or 'at work'}, its transaction open for {seconds} seconds"


@contextmanager
def _set_to(connection: BaseDatabaseWrapper, value: str) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout')")
        (before,) = cursor.fetchone()
    _set(connection, value)
    try:
        yield
    finally:
        if connection.is_usable():
            _set(connection, before)


def _set(connection: BaseDatabaseWrapper, value: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, false)", [value])
