"""What our packages carry along in their own files, which no requirements file names.

Only what Hatchery serves or runs: scripts, styles and fonts of the console, and libraries in compiled wheels.
"""

from dataclasses import dataclass

import psycopg
from cryptography.hazmat.backends.openssl import backend


@dataclass(frozen=True)
class Carried:
    name: str
    version: str | None  # None where the file does not tell
    licence: str  # an SPDX expression
    by: str  # the package
    folders: tuple[str, ...] = ()  # of static files, below the package's in STATIC


# Packages of the settings' INSTALLED_APPS with static files.
STATIC = {"django-unfold": "unfold/static/", "django": "django/contrib/admin/static/"}


def front_end() -> tuple[Carried, ...]:
    """What browsers load. Versions stand in the files, licences beside them."""
    unfold, admin = "django-unfold", "django"
    return (
        Carried("alpinejs", "3.14.9", "MIT", unfold, ("unfold/js/alpine",)),
        Carried("htmx.org", "2.0.4", "0BSD", unfold, ("unfold/js/htmx",)),
        Carried("chart.js", "4.4.0", "MIT", unfold, ("unfold/js/chart",)),
        Carried("simplebar", "6.2.6", "MIT", unfold, ("unfold/js/simplebar", "unfold/css/simplebar")),
        Carried("Inter", None, "OFL-1.1", unfold, ("unfold/fonts/inter",)),
        Carried("Material Symbols", None, "Apache-2.0", unfold, ("unfold/fonts/material-symbols",)),
        Carried("jquery", "3.7.1", "MIT", admin, ("admin/js/vendor/jquery",)),
        Carried("select2", "4.0.13", "MIT", admin, ("admin/js/vendor/select2", "admin/css/vendor/select2")),
        Carried("xregexp", "5.1.1", "MIT", admin, ("admin/js/vendor/xregexp",)),
        Carried("django-admin-icons", None, "MIT", admin, ("admin/img",)),
    )


def compiled_in() -> tuple[Carried, ...]:
    """Libraries in the wheels that are installed here; those of other machines can have others."""
    number = psycopg.pq.version()  # 180004: 18.4
    return (
        Carried("openssl", backend.openssl_version_text().split()[1], "Apache-2.0", "cryptography"),
        Carried("libpq", f"{number // 10000}.{number % 10000}", "PostgreSQL", "psycopg-binary"),
    )
