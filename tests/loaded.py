"""What tests.forks loads once: Hatchery, with nothing done yet, and with the settings of no installation."""

import os
import tempfile

os.environ |= {"DJANGO_SETTINGS_MODULE": "tests.served", "DJANGO_READ_DOT_ENV": "off", "DATABASE_URL": ""}
with tempfile.TemporaryDirectory() as folder:
    os.environ["PORTAL_DATA_DIR"] = folder
    from tests.live import inside  # noqa: F401
