"""Secrets that a command is given: asked for, or from a file or standard input; never on the command line."""

import getpass
import sys
from pathlib import Path

from django.core.management.base import CommandError

from pki.services.keeping import passphrase


def of_key(file: str | None) -> str:
    """The passphrase of a key: from `file` (`-` is standard input), or asked for. Raises CommandError."""
    if file == "-":
        return sys.stdin.readline().rstrip("\r\n")
    if file is not None:
        return passphrase.read(Path(file))
    if not sys.stdin.isatty():
        raise CommandError(
            "The key is encrypted, and nobody can be asked for its passphrase here; use --passphrase-file "
            "(- is standard input)."
        )
    return getpass.getpass("Passphrase of the CA's key: ")
