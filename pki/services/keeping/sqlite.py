"""An SQLite database into a file, and back."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from django.db import connection

from pki.keystore.files import make_private_folder
from pki.services.keeping.manifest import BackupRefused

_BESIDE = ("-wal", "-shm")


def save(target: Path) -> None:
    """Copy the database as it is at this moment, while others go on writing. Raises BackupRefused."""
    connection.ensure_connection()
    try:
        with closing(sqlite3.connect(target)) as copy:
            # All pages in one step: a read transaction, for which no writer waits in WAL mode.
            connection.connection.backup(copy)
            # One file, without a log beside it.
            copy.execute("PRAGMA journal_mode = DELETE")
            (verdict,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        raise BackupRefused(f"The database cannot be copied ({error}).") from error
    if verdict != "ok":
        raise BackupRefused(f"The database is damaged ({_line(verdict)}); restore the last good backup.")


def _line(verdict: str) -> str:
    return " ".join(verdict.split())


class Restoring:
    """A saved database beside the place where it is to be, until it takes that place."""

    def __init__(self) -> None:
        self._place = Path(connection.settings_dict["NAME"])
        self._beside = self._place.with_name(f"{self._place.name}.restoring")

    def require_empty(self) -> None:
        """Raises BackupRefused."""
        if not self._place.exists() or self._place.stat().st_size == 0:
            return
        try:
            with closing(sqlite3.connect(f"{self._place.as_uri()}?mode=ro", uri=True)) as there:
                (tables,) = there.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error:
            tables = 1
        if tables:
            raise BackupRefused(
                f"There is a database in {self._place} already, which nothing replaces. Restore into an "
                "empty data directory (PORTAL_DATA_DIR), or move that file away with its -wal and -shm."
            )

    def load(self, saved: Path) -> None:
        """Let this process work on the saved database. Raises BackupRefused."""
        self._remove_beside()
        make_private_folder(self._beside.parent)
        shutil.move(saved, self._beside)
        try:
            with closing(sqlite3.connect(self._beside)) as copy:
                (verdict,) = copy.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.Error as error:
            verdict = str(error)
        if verdict != "ok":
            raise BackupRefused(f"The database of the backup is damaged ({_line(verdict)}).")
        self._point_at(self._beside)

    def settle(self) -> None:
        """Put it into its place."""
        # Whoever closes a database last writes its log into it.
        self._point_at(self._place)
        for suffix in _BESIDE:
            Path(f"{self._place}{suffix}").unlink(missing_ok=True)
        descriptor = os.open(self._beside, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._beside.replace(self._place)
        self._remove_beside()

    def abandon(self) -> str:
        """Leave nothing of it; what else must be done before another try, in words."""
        self._point_at(self._place)
        self._remove_beside()
        return ""

    def _point_at(self, path: Path) -> None:
        connection.close()
        connection.settings_dict["NAME"] = str(path)

    def _remove_beside(self) -> None:
        for suffix in ("", *_BESIDE, ".lock"):
            Path(f"{self._beside}{suffix}").unlink(missing_ok=True)
