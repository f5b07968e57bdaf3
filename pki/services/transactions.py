"""Write transactions, one at a time on SQLite, and what one process of all does at a time."""

import fcntl
import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import DatabaseError, connection, transaction

from pki.keystore.files import locked

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
def alone(what: str) -> Iterator[bool]:
    """Whether this is the only thread of all processes and nodes in here for the same `what`.

    Never waits; with False, somebody else is. `what` is a word. A process that is killed leaves at once, and
    one that lost its database too: what is done in here must bear that somebody else has begun it anew.
    """
    if connection.vendor == "postgresql":
        with _session_lock(what) as free:
            yield free
        return
    path = _lock_path()
    if path is None:
        raise RuntimeError("A database in memory cannot be shared.")
    with locked(path.with_name(f"{path.name}.{what}"), wait=False) as free:
        yield free


@contextmanager
def _session_lock(what: str) -> Iterator[bool]:
    # Of the session, not of a transaction: none is kept open for as long as a large list takes to sign.
    held: set[str] = _thread.__dict__.setdefault("held", set())
    if what in held:
        yield False  # a session is let in as often as it asks
        return
    key = int.from_bytes(hashlib.sha256(f"hatchery {what}".encode()).digest()[:8], "big", signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [key])
        (free,) = cursor.fetchone()
    if not free:
        yield False
        return
    held.add(what)
    try:
        yield True
    finally:
        held.discard(what)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [key])
        except DatabaseError:
            # The session is what holds it; Django would give one of a pool back to it.
            if connection.connection is not None:
                connection.connection.close()
            connection.close()


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


def database_file() -> Path | None:
    """SQLite's; None of another database, and of one in memory."""
    if connection.vendor != "sqlite":
        return None
    name = str(connection.settings_dict["NAME"])
    return None if "memory" in name else Path(name)


def _lock_path() -> Path | None:
    # A database in memory has one process and needs no lock.
    file = database_file()
    return None if file is None else file.with_name(f"{file.name}.lock")


def _descriptor(path: Path) -> int:
    # flock() locks belong to an open file: a thread that shared another's would walk through its lock.
    # After a fork the child must not share its parent's either.
    key = (os.getpid(), path)
    if getattr(_thread, "key", None) != key:
        _thread.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        _thread.key = key
    descriptor: int = _thread.descriptor
    return descriptor
