"""The database into a file, and back: SQLite or PostgreSQL, whichever the settings name."""

from typing import Any

from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from pki.services.keeping import postgresql, sqlite

_BY_VENDOR: dict[str, Any] = {"sqlite": sqlite, "postgresql": postgresql}


def here() -> Any:
    """The module for the database of the settings: `save`, and `Restoring`."""
    return _BY_VENDOR[connection.vendor]


def migrations_applied() -> tuple[str, ...]:
    """The migrations that the database has had: pki.0001_spine, and so on."""
    return tuple(sorted(".".join(each) for each in MigrationRecorder(connection).applied_migrations()))


def migrations_known() -> set[str]:
    """Those that this Hatchery has."""
    loader = MigrationLoader(None)
    return {".".join(each) for each in loader.disk_migrations}
