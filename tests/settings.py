"""The settings under which the tests run: the real ones, in a data directory of their own."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

# What a developer has in the environment or in .env must not decide what is tested.
for name in list(os.environ):
    if name.startswith("PORTAL_") or name in ("SECRET_KEY", "DEBUG"):
        del os.environ[name]
os.environ["DJANGO_READ_DOT_ENV"] = "off"
_folder = tempfile.mkdtemp(prefix="hatchery-tests-")
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
os.environ["PORTAL_DATA_DIR"] = _folder

from portal.settings import *  # noqa: E402, F403

# All tests come from one address; those of the limits set their own.
PORTAL_LIMIT_FAILURES = PORTAL_LIMIT_DEVICE_FAILURES = PORTAL_LIMIT_WITHOUT_TOKEN = 1_000_000

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
if "sqlite" in DATABASES["default"]["ENGINE"]:  # noqa: F405
    # A file, not memory: threads of the concurrency tests need connections of their own.
    DATABASES["default"]["TEST"] = {"NAME": str(Path(_folder) / "test.sqlite3")}  # noqa: F405
else:
    # Each process has a copy of the database that the run was given, with its tables.
    DATABASES["default"]["TEST"] = {"TEMPLATE": DATABASES["default"]["NAME"]}  # noqa: F405
