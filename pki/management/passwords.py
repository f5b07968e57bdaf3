"""Passwords of the command line: asked for, or read; never words of a command, which others can see."""

import getpass
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from django.core.management.base import CommandError

LARGEST = 4096  # bytes


def asked(what: str, *, instead: str) -> str:
    """What somebody types, unseen, who is asked for `what`. Raises CommandError where nobody is there."""
    if not sys.stdin.isatty():
        raise CommandError(f"Nobody can be asked for the {what} here; use {instead}.")
    return getpass.getpass(f"{what.capitalize()}: ")


def asked_twice(what: str, check: Callable[[str], object], *, instead: str) -> str:
    """The same of a new one, which is typed again."""
    first = asked(what, instead=instead)
    check(first)  # said before it has to be typed again
    if asked(f"{what} again", instead=instead) != first:
        raise CommandError(f"These are two different {what.split()[-1]}s. Nothing was changed.")
    return first


def read(file: str) -> str:
    """The first line of a file, or for `-` the next one of standard input. Raises CommandError."""
    try:
        if file == "-":
            return _word(sys.stdin.buffer)
        with Path(file).open("rb") as opened:
            return _word(opened)
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise CommandError(f"{file} is not text.") from None


def _word(lines: BinaryIO) -> str:
    return lines.readline(LARGEST).decode().rstrip("\r\n")
