"""Databases as `manage.py migrate` leaves them, to be copied; made once for all processes of a run."""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path

from pki.keystore.files import locked
from tests import postgres
from tests.clients import needs
from tests.forks import ROOT, inherited
from tests.postgres import Cluster

# The folder that the processes of a run share.
SHARED = "HATCHERY_TESTS_TABLES"


@cache
def empty() -> Path:
    """The file of an SQLite database."""
    database = _folder() / "db.sqlite3"
    with locked(_folder() / "lock", wait=True):
        if not database.exists():
            making = _folder() / "making"
            _migrate({"PORTAL_DATA_DIR": str(making), "DATABASE_URL": ""})
            (making / "db.sqlite3").rename(database)
    return database


def on_postgresql() -> AbstractContextManager[Cluster]:
    """A new PostgreSQL until the block ends."""
    initdb = needs(postgres.PROGRAM, package=postgres.PACKAGE)
    data = _folder() / "postgresql"
    with locked(_folder() / "lock", wait=True):
        if not data.exists():
            with postgres.cluster(initdb) as cluster:
                _migrate({"PORTAL_DATA_DIR": str(_folder() / "making"), "DATABASE_URL": cluster.url})
                cluster.stop()
                shutil.copytree(cluster.folder / "data", data)
    return postgres.cluster(initdb, data=data)


@cache
def _folder() -> Path:
    return Path(os.environ.get(SHARED) or _own_folder())


def _own_folder() -> str:
    folder = tempfile.mkdtemp(prefix="hatchery-tables-")
    atexit.register(shutil.rmtree, folder)
    return folder


def _migrate(own: dict[str, str]) -> None:
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
        cwd=ROOT,
        env={**inherited(), "DJANGO_READ_DOT_ENV": "off", **own},
        check=True,
    )
