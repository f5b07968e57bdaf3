"""A Hatchery for a benchmark: with SQLite in a folder that is gone in the end, or with the empty database
that DATABASE_URL names.
"""

import atexit
import logging
import os
import shutil
import tempfile
from datetime import datetime

import django


def set_up() -> None:
    """Let Django know of it; before this, nothing of `pki` can be imported but its core."""
    folder = tempfile.mkdtemp(prefix="hatchery-bench-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ |= {"PORTAL_DATA_DIR": folder, "DJANGO_READ_DOT_ENV": "off"}
    os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
    django.setup()


def begin(now: datetime) -> None:
    """Make its tables and its CAs, and have only errors said from now on."""
    from django.conf import settings
    from django.core.management import call_command

    from pki.services.audit import HATCHERY
    from pki.services.issuing import bootstrap

    logging.disable(logging.WARNING)
    call_command("migrate", interactive=False, verbosity=0)
    bootstrap.bootstrap(settings.PORTAL_DATA_DIR, [], ["localhost"], "a-password", HATCHERY, now)


def analyse() -> None:
    """Tell the database how its rows are spread."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
