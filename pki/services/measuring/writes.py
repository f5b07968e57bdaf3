"""Whether the database takes writes, as far as that can be seen without one."""

import os
import shutil

from django.db import connection

from pki.services.complaints import FULL
from pki.services.transactions import database_file

LEAST_ROOM = 1_000_000  # bytes; SQLite writes whole pages of 4,096, and an enrollment changes dozens


def why_none() -> str:
    """Why it takes none, and what to do; empty if nothing speaks against it. Raises DatabaseError."""
    return _of_postgresql() if connection.vendor == "postgresql" else _of_sqlite()


def _of_postgresql() -> str:
    # A standby that nobody promoted, or a server that was set so when its disk was full.
    read_only = _asked("SELECT current_setting('transaction_read_only')") == "on"
    return "The database takes no writes; see DATABASE_URL." if read_only else ""


def _of_sqlite() -> str:
    file = database_file()
    if file is None:
        return ""
    # What is written goes to a log beside it first.
    for path in (file, file.parent):
        if not os.access(path, os.W_OK):
            return f"The database takes no writes: {path} is read-only for this user; make it writable."
    if _asked("PRAGMA query_only"):
        return "The database takes no writes: its connection is for reading alone."
    if shutil.disk_usage(file.parent).free < LEAST_ROOM:
        return f"The disk of the database {file} is full; {FULL}."
    return ""


def _asked(words: str) -> object:
    with connection.cursor() as cursor:
        cursor.execute(words)
        return cursor.fetchone()[0]
