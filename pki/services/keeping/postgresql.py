"""A PostgreSQL database into a file, and back, by its own programs."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from django.db import DatabaseError, connection
from django.db.backends.postgresql.client import DatabaseClient

from pki.services.keeping.manifest import BackupRefused


def save(target: Path) -> None:
    """Dump the database as it is at this moment, while others go on writing. Raises BackupRefused."""
    _run("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={target}")


class Restoring:
    """A saved database on its way into an empty one."""

    def require_empty(self) -> None:
        """Raises BackupRefused."""
        if connection.introspection.table_names():
            raise BackupRefused(
                f"The database {connection.settings_dict['NAME']} has tables already. {_MAKE_ANEW}"
            )

    def load(self, saved: Path) -> None:
        """Fill the database, all of it or nothing. Raises BackupRefused."""
        options = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")
        _run("pg_restore", *options, reads=saved)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")  # a dump has no statistics

    def settle(self) -> None:
        """It is in its place already."""

    def abandon(self) -> str:
        """What must be done before another try, in words."""
        try:
            is_filled = bool(connection.introspection.table_names())
        except DatabaseError:
            is_filled = True  # for all that is known
        return f" The database may be filled already. {_MAKE_ANEW}" if is_filled else ""


_MAKE_ANEW = "Restore into an empty one: drop it and create it anew (dropdb, createdb)."


def _run(program: str, *options: str, reads: Path | None = None) -> None:
    """Run a program of PostgreSQL's on the database of the settings. Its password is in the environment."""
    path = shutil.which(program)
    if path is None:
        raise BackupRefused(
            f"{program} is not installed, by which a PostgreSQL database is saved and restored; on Debian: "
            "apt-get install postgresql-client"
        )
    _require_not_older(program, path)
    words, secrets = DatabaseClient.settings_to_cmd_args_env(connection.settings_dict, [])
    # The name of the database comes last.
    where = [*words[1:-1], f"--dbname={words[-1]}"]
    file = [str(reads)] if reads is not None else []
    done = subprocess.run(  # noqa: S603  no shell, and no words from outside
        [path, *options, *where, *file],
        env=os.environ | (secrets or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode != 0:
        raise BackupRefused(f"{program} failed: {' '.join(done.stderr.split())[:500]}")


def _require_not_older(program: str, path: str) -> None:
    said = subprocess.run([path, "--version"], capture_output=True, text=True, errors="replace")  # noqa: S603
    version = re.search(r"\) (\d+)", said.stdout)
    with connection.cursor() as cursor:
        server = cursor.connection.info.server_version // 10_000
    if version is None or int(version[1]) < server:
        has = version[1] if version is not None else "of an unknown version"
        raise BackupRefused(
            f"{path} is {has}, and the server is PostgreSQL {server}: install the programs of that "
            f"version or a newer one (on Debian: apt-get install postgresql-client-{server}), first in PATH."
        )
