"""When certificates are to be renewed (RFC 9773), and with which names.

Each has a window of its own, spread so that no fleet comes at once.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cryptography import x509

from pki.core import certificates, names
from pki.core.certificates import BACKDATED
from pki.core.csr import VerifiedRequest
from pki.core.profiles import Record

# Lives from here on are renewed between 2/3 and 5/6 of them. Shorter ones between 1/2 and 2/3, so that an
# outage of hours leaves a day's certificate a third of its life to try again.
LONG = timedelta(days=10)
# The part of that span that a window takes. RFC 9773 4.2 has a device choose a moment in it at random; many
# choose its beginning, and are spread by that alone.
_SLICE = 1 / 48
# How long until a device asks again: this part of a life, within these bounds. RFC 9773 4.3.
_ASK_AGAIN = 1 / 24
SOONEST, LATEST = timedelta(seconds=60), timedelta(hours=6)
# And up to so much less or more of it for each certificate: devices that came at once, as after an outage,
# would come in waves for half a day otherwise.
_APART = 1 / 8


@dataclass(frozen=True)
class Window:
    """From when until when a certificate is to be renewed; past, if that is to be now (RFC 9773 4.2)."""

    start: datetime
    end: datetime


@dataclass(frozen=True)
class Hint:
    """What is told of a certificate's renewal."""

    window: Window
    asked: bool  # whether it is to be renewed now, whatever is left of its life
    ask_again_in: int  # seconds (RFC 9773 4.3)


def hint(not_before: datetime, not_after: datetime, fingerprint: str, *, asked: bool) -> Hint:
    """Of a certificate of ours, by its validity and its SHA-256 fingerprint (hex)."""
    begun, life = _life(not_before, not_after)
    # Over when the certificate was made: in whatever moment a device chooses, it renews at once.
    due = Window(not_before, begun) if asked else _slice(begun, life, fingerprint)
    apart = 1 - _APART + 2 * _APART * _part(fingerprint[13:26])
    again = max(min(life * _ASK_AGAIN, LATEST) * apart, SOONEST)
    return Hint(due, asked, int(again.total_seconds()))


def is_asked(
    issued_at: datetime, issuer_id: int, next_issuer_id: int | None, rotation_requested_at: datetime | None
) -> bool:
    """Whether a device that shows a certificate is to renew it now, whatever is left of its life.

    Because a campaign has decided on another issuer for it (`next_issuer_id`, none if there is no such
    decision), or because the certificate is not newer than the wish for a new key.
    """
    moves = next_issuer_id is not None and issuer_id != next_issuer_id
    return moves or (rotation_requested_at is not None and issued_at <= rotation_requested_at)


def wishes_again(request: VerifiedRequest, shown: x509.Certificate, record: Record) -> VerifiedRequest:
    """A request with the names of the certificate that it is to renew, instead of its own.

    Its CN stays as it is, to be held against the record. What it wishes beyond that, and beyond the record,
    is ignored.
    """
    sans, _ = names.sans_of(certificates.sans(shown))
    subject = names.subject_attributes(shown.subject)
    known = {**subject, **record.subject, "CN": request.common_name}
    ignored = [f"subject {short}" for short, value in request.subject.items() if known.get(short) != value]
    ignored += [f"SAN {san}" for san in request.sans if san not in (*sans, *record.sans)]
    subject.pop("CN", None)
    if request.common_name is not None:
        subject["CN"] = request.common_name
    return replace(request, subject=subject, sans=tuple(sans), ignored=(*request.ignored, *ignored))


def _life(not_before: datetime, not_after: datetime) -> tuple[datetime, timedelta]:
    # Of the shortest certificates, what they are backdated by would be half their life.
    begun = min(not_before + BACKDATED, not_after)
    # RFC 5280 4.1.2.5: the last second belongs to it.
    return begun, not_after - begun + timedelta(seconds=1)


def parts(life: timedelta) -> tuple[float, float]:
    """Between which parts of such a life certificates are renewed."""
    return (2 / 3, 5 / 6) if life >= LONG else (1 / 2, 2 / 3)


def _slice(begun: datetime, life: timedelta, fingerprint: str) -> Window:
    earliest, latest = parts(life)
    span = life * (latest - earliest)
    start = begun + life * earliest + span * (1 - _SLICE) * _part(fingerprint[:13])
    return Window(start, start + span * _SLICE)


def _part(digits: str) -> float:
    """From 0 to 1, by digits of a fingerprint: as good as dice, and the same each time it is asked."""
    return int(digits, 16) / 16.0 ** len(digits)
