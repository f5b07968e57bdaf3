"""The module in which Django looks for the backend that the setting ENGINE names."""

import math
import select
import time
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from django.db.backends.postgresql.operations import DatabaseOperations

# A silent connection that has answered so lately is taken for a living one.
_LATELY = 5.0  # seconds

# How often a statement is run on a connection before it is prepared. Not 0: one that fails when it is first
# run would be left behind in PostgreSQL, each time anew.
_UNPREPARED = 1

# A machine or a network that vanishes says nothing, and the system would wait for it for a quarter of an hour
# or for ever. What DATABASE_URL says of these wins.
_PATIENCE = {
    "connect_timeout": 4,  # seconds, as a pool waits: less than a handshake may take
    "tcp_user_timeout": 10_000,  # milliseconds for PostgreSQL's system to say that it has what was sent
    # Seconds without a word while PostgreSQL works, and its system is asked; then again after so many. Thrice
    # within the time above: on Linux it also ends a connection whose system does not answer.
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}

_binding: Any = base.ServerBindingCursor
_django: Any = base.DatabaseWrapper


class Operations(DatabaseOperations):
    """Tells who logs or counts statements also those whose values are sent beside them."""

    def last_executed_query(self, cursor: Any, sql: Any, params: Any) -> Any:
        if not isinstance(cursor, _binding):
            return super().last_executed_query(cursor, sql, params)
        try:
            return self.compose_sql(sql, params)
        except psycopg.DataError:
            return None


class DatabaseWrapper(_django):  # type: ignore[misc]
    """A connection of Django's to PostgreSQL, which can prepare statements."""

    ops_class = Operations
    _answered_at = -math.inf  # seconds of the monotonic clock

    def preparing_cursor(self) -> Any:
        """As `cursor`, for statements that are written once and come again with other values.

        PostgreSQL parses them once for a connection, and plans them once if that is as good. Not for those
        of which it must know the values to plan them well.
        """
        self.close_if_health_check_failed()
        self.ensure_connection()
        with self.wrap_database_errors:
            return self._prepare_cursor(_binding(self.connection))

    def get_connection_params(self) -> dict[str, Any]:
        # Django's other cursors put the values into the statement, and never prepare it.
        return {**_PATIENCE, **super().get_connection_params(), "prepare_threshold": _UNPREPARED}

    def is_usable(self) -> bool:
        usable: bool = super().is_usable()
        if usable:
            self._answered_at = time.monotonic()
        return usable

    def close_if_health_check_failed(self) -> None:
        """Django asks PostgreSQL at each request, which takes longer than most of what a request asks.

        A server that ends, or ends a connection, says so, and the system knows. Only one whose machine or
        network has gone says nothing: that is what is still asked for, now and then.
        """
        if not self.health_check_done and self.connection is not None:
            lately = time.monotonic() - self._answered_at < _LATELY
            self.health_check_done: bool = lately and _is_silent(self.connection)
        super().close_if_health_check_failed()


def _is_silent(connection: Any) -> bool:
    """Whether nothing has come that nobody asked for: an error, or the end."""
    poll = select.poll()
    try:
        poll.register(connection.fileno(), select.POLLIN)
    except psycopg.Error:
        return False  # it is closed
    return not poll.poll(0)
