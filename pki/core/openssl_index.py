r"""The `index.txt` of `openssl ca`: one line for each certificate that a CA issued, its fields apart by tabs.

    V  270424133105Z                        1000  unknown  /CN=door-1
    R  270424133105Z  260424133105Z,keyCompromise  1001  unknown  /CN=door-2

Status (V valid, R revoked, E expired), end, revocation with its reason, serial in hex, file, subject. Times
are UTCTime or GeneralizedTime (RFC 5280 4.1.2.5).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from pki.core.errors import Refusal
from pki.core.identifiers import LONGEST_SERIAL

_FIELDS = 6
_TIME = re.compile(r"(\d{2}|\d{4})(\d{10})Z")
_SERIAL = re.compile(rf"[0-9A-Fa-f]{{1,{LONGEST_SERIAL}}}")


class IndexRefused(Refusal):
    """A line that is none of an `index.txt`."""

    code = "openssl_index_refused"


@dataclass(frozen=True)
class Line:
    """One certificate; times are UTC."""

    number: int  # of the line, from 1
    serial: int
    not_after: datetime
    revoked_at: datetime | None
    reason: str  # as RFC 5280 5.3.1 names it; empty: none was given
    subject: str  # as `openssl x509 -subject` once wrote it: /C=DE/CN=door-1


def read(text: str) -> Iterator[Line]:
    """The lines of an index, in their order. Raises IndexRefused, which names the line."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield _line(number, line)


def _line(number: int, line: str) -> Line:
    fields = line.split("\t")
    if len(fields) != _FIELDS or fields[0] not in ("V", "R", "E"):
        raise IndexRefused(
            f"Line {number} is none of an index.txt: it has six fields with tabs between them."
        )
    status, end, revoked, serial, _, subject = fields
    if not _SERIAL.fullmatch(serial):
        raise IndexRefused(f"Line {number}: {serial[:50]!r} is no serial number in hex.")
    when, _, why = revoked.partition(",")
    if (status == "R") != bool(when):
        raise IndexRefused(
            f"Line {number}: status {status} does not go with the revocation {revoked[:40]!r}."
        )
    return Line(
        number, int(serial, 16), _time(number, end), _time(number, when) if when else None,
        why.partition(",")[0], subject,
    )  # fmt: skip


def _time(number: int, text: str) -> datetime:
    found = _TIME.fullmatch(text)
    if found is None:
        raise IndexRefused(f"Line {number}: {text[:40]!r} is no time such as 270424133105Z.")
    year = int(found[1])
    if len(found[1]) == 2:
        year += 2000 if year < 50 else 1900  # RFC 5280 4.1.2.5.1
    try:
        return datetime.strptime(f"{year:04}{found[2]}", "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        raise IndexRefused(f"Line {number}: {text[:40]!r} is no time of the calendar.") from None
