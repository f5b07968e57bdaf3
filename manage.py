#!/usr/bin/env python
"""Hatchery from the shell: `python manage.py help` lists what it can do."""

import atexit
import gc
import os
import sys


def main() -> None:
    # Whatever is written, the database and its log above all, is for its owner alone.
    os.umask(0o077)
    # Else Python looks for cycles among all objects before it ends: a third of what a command costs.
    atexit.register(gc.freeze)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from django.db import InternalError, OperationalError

    try:
        _ = settings.DEBUG  # reading one setting loads them all
    except ImproperlyConfigured as error:
        sys.exit(f"Hatchery cannot start. {error}")
    try:
        execute_from_command_line(sys.argv)
    except (OperationalError, InternalError) as error:  # not there, full, or read-only
        from pki.services.complaints import reason

        sys.exit(reason(error))


if __name__ == "__main__":
    main()
