"""Secrets that a command is given: asked for, or from a file or standard input; never on the command line."""

import getpass
import sys
from pathlib import Path

from django.core.management.base import CommandError


def of_key(file: str | None) -> str:
    """The passphrase of a key: the first line of `file` (`-` is standard input), as OpenSSL reads it, or what
    is typed. Raises CommandError.
    """
    if file is not None:
        return _first_line(file)
    if not sys.stdin.isatty():
        raise CommandError(
            "The key is encrypted, and nobody can be asked for its passphrase here; use --passphrase-file "
            "(- is standard input)."
        )
    return getpass.getpass("Passphrase of the CA's key: ")


def _first_line(file: str) -> str:
    try:
        with sys.stdin.buffer if file == "-" else Path(file).open("rb") as opened:
            line = opened.readline().rstrip(b"\r\n")
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
    if not line:
        where = "Standard input" if file == "-" else file
        raise CommandError(f"{where} has no passphrase on its first line.")
    return line.decode("utf-8", "surrogateescape")
