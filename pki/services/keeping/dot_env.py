"""The settings of `.env`, as a backup keeps them."""

import re

_PASSPHRASE = re.compile(r"PORTAL_KEY_PASSPHRASE\s*=")
_LEFT_OUT = "# PORTAL_KEY_PASSPHRASE was here; this backup does not hold it."


def without_passphrase(text: str, passphrase: str) -> str:
    """The text of `.env` without the passphrase of the keys, under whatever name, and in comments too."""
    return "".join(
        f"{_LEFT_OUT}\n" if _PASSPHRASE.search(line) or passphrase in line else line
        for line in text.splitlines(keepends=True)
    )
