"""How an issuer's OCSP responder certificates stand (RFC 6960 4.2.2.2): which answer, and from which node."""

from dataclasses import dataclass
from datetime import datetime

from pki.core import keys
from pki.keystore import KeystoreError, keystore
from pki.models import Issuer, Responder
from pki.services.publishing import responders

# Of one issuer: one a node, and a second while it is renewed.
SHOWN = 10


@dataclass(frozen=True)
class ResponderStanding:
    """A responder's certificate: whether it stands, and whether this node has its key."""

    row: Responder
    word: str  # current or ended
    key_kind: str
    is_here: bool


def of(row: Responder, now: datetime) -> ResponderStanding:
    """How one stands at `now`."""
    return ResponderStanding(
        row,
        "current" if row.not_after > now else "ended",
        keys.describe(row.certificate.public_key()),
        is_here(row.key_reference),
    )


def is_here(reference: str) -> bool:
    """Whether this node's keystore has a key; not, if it cannot be looked into."""
    try:
        return keystore().has(reference)
    except KeystoreError:
        return False


def shown_of(issuer: Issuer, now: datetime) -> list[ResponderStanding]:
    """An issuer's responders that stand, or the last one that ended."""
    rows = issuer.responders.order_by("-not_after")
    return [of(row, now) for row in rows.filter(not_after__gt=now)[:SHOWN] or rows[:1]]


def unanswered(now: datetime) -> list[Issuer]:
    """The issuers that were asked about, and have no responder certificate that stands."""
    return list(responders.unanswered(now).order_by("name"))
