"""Words of the command line, understood."""

import argparse
import re
from datetime import timedelta

from django.core.management.base import CommandParser

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def lifetime(text: str) -> timedelta:
    """`90s`, `30m`, `1h` or `7d`."""
    match = re.fullmatch(r"([0-9]{1,6})([smhd])", text.strip())
    if match is None or int(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write 30m, 1h or 7d")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def add_certificates(parser: CommandParser) -> None:
    """Which certificates are meant: `--serial` or `--device`, one of them."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--serial", metavar="SERIAL", help="the certificate's serial, hex or decimal")
    what.add_argument("--device", metavar="NAME", help="all of this device's certificates")
