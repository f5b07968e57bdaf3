"""Saying in the log that something does not work, once a minute: anybody can ask, as often as he likes."""

import logging
import sqlite3
import threading
import time

from django.db import DataError, Error, IntegrityError, ProgrammingError

SECONDS = 60.0  # between two lines that say the same
# Different lines in that time.
MOST = 50

FULL = "make room on its disk, and Hatchery goes on by itself"
READ_ONLY = "let it take writes again, and Hatchery goes on by itself"
_BY_SQLITE = {sqlite3.SQLITE_FULL: FULL, sqlite3.SQLITE_READONLY: READ_ONLY}
# PostgreSQL's disk_full and read_only_sql_transaction.
_BY_SQLSTATE = {"53100": FULL, "25006": READ_ONLY}
# What the database says of statements that Hatchery should not have sent: no trouble of the database's.
OUR_MISTAKES = (DataError, IntegrityError, ProgrammingError)


class Complaints:
    """What was said lately. One object a process; threads may share it."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], tuple[float, int]] = {}  # when, and how often unsaid since
        self._lock = threading.Lock()

    def say(self, log: logging.Logger, what: str, why: str) -> None:
        """Log a line that says what does not work and why, unless that was said a moment ago."""
        key, now = (what, why), time.monotonic()
        with self._lock:
            at, unsaid = self._said.get(key, (float("-inf"), 0))
            if now < at + SECONDS:
                self._said[key] = (at, unsaid + 1)
                return
            self._said = {known: value for known, value in self._said.items() if now < value[0] + SECONDS}
            if len(self._said) >= MOST:
                return
            self._said[key] = (now, 0)
        log.error("%s: %s%s", what, why, f" ({unsaid} times more since this was said)" if unsaid else "")

    def forget(self) -> None:
        """Begin anew."""
        with self._lock:
            self._said = {}


def reason(error: Exception) -> str:
    """One sentence on what does not work, in its own words."""
    return why_unusable(error, "see DATABASE_URL") if isinstance(error, Error) else str(error)


def why_unusable(error: Error, advice: str) -> str:
    """The same of a database, with `advice` unless what fails says what to do."""
    # A driver's message goes over several lines and may end with a full stop.
    message = " ".join(str(error).split()).rstrip(".?")
    return f"The database cannot be used ({message}); {_remedy(error) or advice}."


def _remedy(error: Error) -> str | None:
    of_postgresql = _BY_SQLSTATE.get(getattr(error.__cause__, "sqlstate", None) or "")
    # Of SQLite's, the low byte; the others say where it was noticed.
    return of_postgresql or _BY_SQLITE.get(getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF)


# This process's.
COMPLAINTS = Complaints()
