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
        return _first_line(file).decode()
    except UnicodeDecodeError:
        raise CommandError(f"{file} is not text.") from None


def read_for_key(file: str) -> str:
    """The same of a key that exists, whatever encoding its owner typed in (`key_files.as_bytes`)."""
    if line := _first_line(file):
        return line.decode("utf-8", "surrogateescape")
    raise CommandError(f"{'Standard input' if file == '-' else file} has no passphrase on its first line.")


def _first_line(file: str) -> bytes:
    try:
        if file == "-":
            return _line(sys.stdin.buffer)
        with Path(file).open("rb") as opened:
            return _line(opened)
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from error


def _line(lines: BinaryIO) -> bytes:
    return lines.readline(LARGEST).rstrip(b"\r\n")
