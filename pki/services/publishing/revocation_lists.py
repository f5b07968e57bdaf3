"""Which CRLs there are, which certificates name which of them, and which no longer say what is true.

A certificate names a shard of its issuer's list, so that each stays small however many certificates there
are: new certificates name the open shard, and a new one is opened once that is full. The full list, of all
certificates, is for those who want one file.
"""

from collections.abc import Iterable
from datetime import datetime

from django.conf import settings

from pki.models import FULL, Certificate, Issuer, RevocationList, StaleList
from pki.services.transactions import writing

# Certificates of a shard: about half a megabyte if all of them are revoked.
SHARD_SIZE = 10_000


def url(issuer: Issuer, shard: int) -> str:
    """Where a list is, on the status listener; it says so, and its certificates (RFC 5280 4.2.1.13)."""
    name = f"{issuer.key_identifier}/{shard}" if shard != FULL else issuer.key_identifier
    return f"{settings.PORTAL_STATUS_URL}/crl/{name}.crl"


def delta_url(issuer: Issuer) -> str:
    """Where the delta of the full list is (RFC 5280 5.2.6)."""
    return f"{settings.PORTAL_STATUS_URL}/crl/{issuer.key_identifier}/delta.crl"


def open_for(issuer: Issuer, now: datetime) -> None:
    """Give a new issuer its lists, inside the caller's transaction."""
    for shard in (FULL, issuer.open_shard):
        _open(issuer, shard, now)


def note(certificates: Iterable[Certificate], now: datetime) -> None:
    """Note that certificates were revoked, or are good again, inside the caller's transaction."""
    changed = {(each.issuer_id, each.crl_shard) for each in certificates}
    changed |= {(issuer, FULL) for issuer, _ in changed}
    StaleList.objects.bulk_create(
        StaleList(issuer_id=issuer, shard=shard, at=now) for issuer, shard in sorted(changed)
    )


def note_issuer(issuer: Issuer, now: datetime) -> None:
    """Note that an issuer's own certificate was revoked, with those by which other roots certify its key,
    inside the caller's transaction.
    """
    signers = set(issuer.cross_certificates.values_list("signer", flat=True))
    if issuer.parent_id is not None:
        signers.add(issuer.parent_id)
    StaleList.objects.bulk_create(StaleList(issuer_id=each, shard=FULL, at=now) for each in sorted(signers))


def ensure(now: datetime) -> None:
    """Give every issuer that lives its lists, at the URLs that the settings name now.

    An open shard at another URL is closed: what its certificates say stays true, and new ones name a new one.
    """
    for issuer in Issuer.objects.filter(not_after__gt=now).order_by("pk"):
        with writing():
            held = Issuer.objects.select_for_update(no_key=True).get(pk=issuer.pk)
            of_issuer = RevocationList.objects.filter(issuer=held)
            full = of_issuer.filter(shard=FULL).only("url").first()
            shard = of_issuer.filter(shard=held.open_shard).only("url").first()
            if full is None:
                _open(held, FULL, now)
            elif full.url != url(held, FULL):
                of_issuer.filter(shard=FULL).update(url=url(held, FULL))
                # It names the URL of its delta.
                StaleList.objects.create(issuer=held, shard=FULL, at=now)
            if shard is None:
                _open(held, held.open_shard, now)
            elif shard.url != url(held, held.open_shard):
                _open_next(held, now)


def roll(now: datetime) -> int:
    """Open the next shard of each issuer whose open one is full; how many.

    Counted here, now and then, and not where certificates are issued: a shard may hold a few more.
    """
    opened = 0
    for issuer in Issuer.objects.filter(not_after__gt=now, state=Issuer.State.ACTIVE).order_by("pk"):
        certificates = Certificate.objects.filter(issuer=issuer, crl_shard=issuer.open_shard)
        if certificates.values("pk")[:SHARD_SIZE].count() < SHARD_SIZE:
            continue
        with writing():
            held = Issuer.objects.select_for_update(no_key=True).get(pk=issuer.pk)
            if held.open_shard == issuer.open_shard:
                _open_next(held, now)
                opened += 1
    return opened


def _open_next(issuer: Issuer, now: datetime) -> None:
    RevocationList.objects.filter(issuer=issuer, shard=issuer.open_shard).update(closed_at=now)
    issuer.open_shard += 1
    _open(issuer, issuer.open_shard, now)
    issuer.save(update_fields=["open_shard"])


def _open(issuer: Issuer, shard: int, now: datetime) -> None:
    RevocationList.objects.create(issuer=issuer, shard=shard, url=url(issuer, shard), opened_at=now)
    StaleList.objects.create(issuer=issuer, shard=shard, at=now)
