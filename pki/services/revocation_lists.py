"""Which CRLs there are, which certificates name which of them, and which no longer say what is true.

A certificate names a shard of its issuer's list, so that each stays small however many certificates there
are: new certificates name the open shard, and a new one is opened once that is full. The full list, of all
certificates, is for those who want one file.
"""

from collections.abc import Iterable
from datetime import datetime

from django.conf import settings

from pki.models import FULL, Certificate, Issuer, RevocationList, StaleList


def url(issuer: Issuer, shard: int) -> str:
    """Where a list is, on the status listener; it says so, and its certificates (RFC 5280 4.2.1.13)."""
    name = f"{issuer.key_identifier}/{shard}" if shard != FULL else issuer.key_identifier
    return f"{settings.PORTAL_STATUS_URL}/crl/{name}.crl"


def open_for(issuer: Issuer, now: datetime) -> None:
    """Give a new issuer its lists, inside the caller's transaction."""
    for shard in (FULL, issuer.open_shard):
        RevocationList.objects.create(issuer=issuer, shard=shard, url=url(issuer, shard), opened_at=now)
        StaleList.objects.create(issuer=issuer, shard=shard, at=now)


def note(certificates: Iterable[Certificate], now: datetime) -> None:
    """Note that certificates were revoked, or are good again, inside the caller's transaction."""
    changed = {(each.issuer_id, each.crl_shard) for each in certificates}
    changed |= {(issuer, FULL) for issuer, _ in changed}
    StaleList.objects.bulk_create(
        StaleList(issuer_id=issuer, shard=shard, at=now) for issuer, shard in sorted(changed)
    )


def note_issuer(issuer: Issuer, now: datetime) -> None:
    """Note that an issuer's own certificate was revoked, inside the caller's transaction."""
    if issuer.parent_id is not None:
        StaleList.objects.create(issuer_id=issuer.parent_id, shard=FULL, at=now)
