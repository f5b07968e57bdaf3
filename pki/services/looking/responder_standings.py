"""How an issuer's OCSP responder certificates stand (RFC 6960 4.2.2.2): which answer, and from which node."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import OuterRef, Subquery

from pki.core import keys
from pki.keystore import KeystoreError, keystore
from pki.models import Issuer, Responder

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
    """The issuers whose last responder certificate has ended, though they have not."""
    last = Responder.objects.filter(issuer=OuterRef("pk")).order_by("-not_after").values("not_after")[:1]
    alive = Issuer.objects.exclude(state=Issuer.State.COMPROMISED).filter(not_after__gt=now)
    return list(
        alive.annotate(answered_until=Subquery(last)).filter(answered_until__lte=now).order_by("name")
    )
