"""An SQLite database as `manage.py migrate` leaves it, made once for all processes of a run."""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from pki.keystore.files import locked
from tests.forks import ROOT

# The folder that the processes of a run share.
SHARED = "HATCHERY_TESTS_TABLES"


@cache
def empty() -> Path:
    """The database, to be copied."""
    folder = Path(os.environ.get(SHARED) or _own_folder())
    database = folder / "db.sqlite3"
    with locked(folder / "lock", wait=True):
        if not database.exists():
            _migrated(folder / "making").rename(database)
    return database


def _own_folder() -> str:
    folder = tempfile.mkdtemp(prefix="hatchery-tables-")
    atexit.register(shutil.rmtree, folder)
    return folder


def _migrated(data: Path) -> Path:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PORTAL_") and name not in ("DJANGO_SETTINGS_MODULE", "SECRET_KEY")
    }
    own = {"DJANGO_READ_DOT_ENV": "off", "PORTAL_DATA_DIR": str(data), "DATABASE_URL": ""}
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
        cwd=ROOT,
        env={**environment, **own},
        check=True,
    )
    return data / "db.sqlite3"
