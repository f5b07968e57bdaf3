"""A PostgreSQL of one's own, from installed binaries, reached by a socket that nobody else can enter."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

PROGRAM, PACKAGE = "initdb", "postgresql"  # what must be installed, and of which Debian package it is
_ROLE = _DATABASE = "hatchery"
_PORT = 5432  # names the socket's file; nothing listens on the network
_STARTS_WITHIN = 30.0  # seconds
_ACCOUNT = "postgres"  # who it runs as if we are root, which it refuses


@contextmanager
def running(initdb: str, *, durable: bool = False) -> Iterator[str]:
    """A new cluster until the block ends; yields the URL of an empty database.

    `initdb` is that program's path. Only what is `durable` waits for the disk, as in production.
    """
    # Not in a folder of pytest's: another account cannot enter those.
    folder = Path(tempfile.mkdtemp(prefix="hatchery-postgres-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, _ACCOUNT, _ACCOUNT)
        _run(folder, initdb, "-D", "data", "-U", _ROLE, "-A", "trust", "-E", "UTF8", "--locale=C").wait()
        options = () if durable else ("-c", "fsync=off", "-c", "synchronous_commit=off")
        postgres = Path(initdb).resolve().with_name("postgres")
        server = _run(folder, postgres, "-D", "data", "-k", str(folder), "-c", "listen_addresses=", *options)
        try:
            _make_database(folder, server)
            # django-environ's writing of a socket's folder.
            yield f"postgres://{_ROLE}@/{folder}/{_DATABASE}"
        finally:
            server.send_signal(signal.SIGINT)  # it ends at once, in order
            server.wait(timeout=30)
    finally:
        shutil.rmtree(folder)


def _run(folder: Path, *command: str | Path) -> subprocess.Popen:
    account = {"user": _ACCOUNT, "group": _ACCOUNT, "extra_groups": []} if os.geteuid() == 0 else {}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT, **account
        )


def _make_database(folder: Path, server: subprocess.Popen) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN
    while True:
        try:
            with psycopg.connect(
                host=str(folder), port=_PORT, user=_ROLE, dbname="postgres", autocommit=True
            ) as connection:
                connection.execute(f"CREATE DATABASE {_DATABASE}")
            return
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start: {(folder / 'log').read_text()}") from None
            time.sleep(0.05)
