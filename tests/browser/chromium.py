"""This machine's own Chromium: where it is, and how a test starts it."""

import os
import shutil

from cryptography import x509
from playwright.sync_api import Browser, Playwright

from pki.core import pins

NAMES = ("chromium", "chromium-browser", "google-chrome")
ADVICE = "there is no Chromium; on Debian: apt-get install chromium"

# Playwright turns most of a browser's own calls home off; these are what it leaves on.
_SILENT = (
    "--disable-domain-reliability",
    "--disable-sync",
    "--dns-prefetch-disable",
    "--no-pings",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)


def find() -> str | None:
    """Its path: what HATCHERY_CHROMIUM says, or the first of NAMES on the PATH."""
    named = os.environ.get("HATCHERY_CHROMIUM")
    return next(filter(None, map(shutil.which, (named,) if named else NAMES)), None)


def is_required() -> bool:
    """Whether tests without a browser are no tests: so in CI."""
    return os.environ.get("HATCHERY_BROWSER") == "required"


def launch(playwright: Playwright, trusted: bytes) -> Browser:
    """A Chromium that trusts these PEM certificates, and those they signed, beside what it always trusts.

    Debian's keeps its own authorities in a database that only certutil writes, of one more package. Pins on
    the command line do as well: a server whose chain holds none of these keys is refused as ever.
    """
    return playwright.chromium.launch(
        executable_path=find(),
        chromium_sandbox=os.geteuid() != 0,  # it has none for root
        args=[*_SILENT, f"--ignore-certificate-errors-spki-list={','.join(map(_pin, _read(trusted)))}"],
    )


def _read(pem: bytes) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(pem) if pem else []


def _pin(certificate: x509.Certificate) -> str:
    return pins.spki_pin(certificate.public_key())
