"""A PostgreSQL of one's own, from installed binaries, reached by a socket that nobody else can enter.

`python -m tests.postgres COMMAND …` runs a command over a new one, whose database has its tables.
"""

import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg
import pytest
from psycopg import sql

from tests.clients import which

PROGRAM, PACKAGE = "initdb", "postgresql"  # what must be installed, and of which Debian package it is
_ROLE = _DATABASE = "hatchery"
_PORT = 5432  # names the socket's file; nothing listens on the network
_STARTS_WITHIN = 30.0  # seconds
_WAY = "second-way"
_ACCOUNT = "postgres"  # who it runs as if we are root, which it refuses


@dataclass
class Cluster:
    """A running PostgreSQL and what a test does with it."""

    url: str  # of its database
    folder: Path
    command: tuple[str | Path, ...]
    server: subprocess.Popen | None = None

    def start(self) -> None:
        self.server = _run(self.folder, *self.command)

    def stop(self, sig: int = signal.SIGINT) -> None:
        """End it at once: in order by SIGINT, as a crash by SIGQUIT."""
        if self.server is not None:
            self.server.send_signal(sig)
            self.server.wait(timeout=30)


@dataclass
class Way:
    """Another way to a cluster, which may be cut for those that go it."""

    cluster: Cluster
    folder: Path

    def __post_init__(self) -> None:
        self.mend()

    @property
    def url(self) -> str:
        """The database's, by this way."""
        return (
            f"{self.cluster.url.replace(str(self.cluster.folder), str(self.folder))}?application_name={_WAY}"
        )

    def cut(self) -> None:
        """End its connections, and let none come."""
        self._socket.unlink()
        with connect(self.cluster.url) as database:
            database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s", [_WAY]
            )

    def mend(self) -> None:
        self._socket.symlink_to(self.cluster.folder / self._socket.name)

    @property
    def _socket(self) -> Path:
        return self.folder / f".s.PGSQL.{_PORT}"


@contextmanager
def running(initdb: str, *, durable: bool = False) -> Iterator[str]:
    """A new cluster until the block ends; yields the URL of an empty database.

    `initdb` is that program's path. Only what is `durable` waits for the disk, as in production.
    """
    with cluster(initdb, durable=durable) as made:
        yield made.url


@contextmanager
def cluster(initdb: str, *, durable: bool = False, data: Path | None = None) -> Iterator[Cluster]:
    """As `running`, for who stops it in between; of a copy of `data`, if that is the folder of another."""
    # Not in a folder of pytest's: another account cannot enter those.
    folder = Path(tempfile.mkdtemp(prefix="hatchery-postgres-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, _ACCOUNT, _ACCOUNT)
        if data is None:
            _run(folder, initdb, "-D", "data", "-U", _ROLE, "-A", "trust", "-E", "UTF8", "--locale=C").wait()
        else:
            _copy(data, folder / "data")
        # What is committed outlives a crash of its processes, if not of the machine.
        options = () if durable else ("-c", "fsync=off", "-c", "full_page_writes=off")
        postgres = Path(initdb).resolve().with_name("postgres")
        command = (postgres, "-D", "data", "-k", str(folder), "-c", "listen_addresses=", *options)
        # django-environ's writing of a socket's folder.
        made = Cluster(f"postgres://{_ROLE}@/{folder}/{_DATABASE}", folder, command)
        made.start()
        try:
            with _awaited(folder, made.server) as connection:
                if data is None:
                    connection.execute(f"CREATE DATABASE {_DATABASE}")
            yield made
        finally:
            made.stop()
    finally:
        shutil.rmtree(folder)


def _run(folder: Path, *command: str | Path) -> subprocess.Popen:
    account = {"user": _ACCOUNT, "group": _ACCOUNT, "extra_groups": []} if os.geteuid() == 0 else {}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT, **account
        )


def _copy(data: Path, to: Path) -> None:
    shutil.copytree(data, to)
    if os.geteuid() == 0:
        for path in (to, *to.rglob("*")):
            shutil.chown(path, _ACCOUNT, _ACCOUNT)


def _awaited(folder: Path, server: subprocess.Popen) -> psycopg.Connection:
    """A connection to a server that is starting."""
    deadline = time.monotonic() + _STARTS_WITHIN
    while True:
        try:
            return psycopg.connect(
                host=str(folder), port=_PORT, user=_ROLE, dbname="postgres", autocommit=True
            )
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start: {(folder / 'log').read_text()}") from None
            time.sleep(0.05)


def of_this_run() -> str:
    """The URL of the database that the tests run on, migrated and used by nobody; empty on SQLite."""
    url = os.environ.get("DATABASE_URL", "")
    return url if url.startswith(("postgres://", "postgresql://")) else ""


def not_there(why: str) -> pytest.MarkDecorator:
    """Skips a test where the tests run on PostgreSQL, and says why."""
    return pytest.mark.skipif(bool(of_this_run()), reason=f"PostgreSQL: {why}")


_NUMBERS = itertools.count(1)


def new_database(url: str, *, empty: bool = False) -> str:
    """The URL of a new database beside the one at `url`, which it is a copy of unless it is to be `empty`."""
    name = urlsplit(url).path.rpartition("/")[2]
    new = f"{name}_{os.getpid()}_{next(_NUMBERS)}"
    words = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
        sql.Identifier(new), sql.Identifier("template0" if empty else name)
    )
    with connect(url, "postgres") as connection:
        connection.execute(words)
    return url.removesuffix(name) + new


def connect(url: str, database: str = "") -> psycopg.Connection:
    """A connection to what `url` tells django-environ, or to another database there."""
    parts = urlsplit(url)
    host, _, name = unquote(parts.path.removeprefix("/")).rpartition("/")
    if not host:
        told = parts._replace(path=f"/{database or name}").geturl()
    else:
        told = psycopg.conninfo.make_conninfo(host=host, user=parts.username, dbname=database or name)
    return psycopg.connect(told, autocommit=True)


def main(command: list[str]) -> int:
    initdb = which(PROGRAM)
    if initdb is None:
        print("There is no PostgreSQL here; on Debian: apt-get install postgresql", file=sys.stderr)
        return 1
    with running(initdb) as url:
        environment = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, env=environment, check=True)
        return subprocess.run(command, env={**os.environ, "DATABASE_URL": url}).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
