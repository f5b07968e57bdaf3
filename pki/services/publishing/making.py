"""Making one CRL: signed outside any transaction, stored by a short one.

A list that was signed and not stored never left this process: its number may be used again.
"""

import logging
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from django.conf import settings
from django.db.models import QuerySet

from pki.core import crls, pins
from pki.core.crls import Entry, Heading
from pki.keystore import keystore
from pki.models import FULL, SIGNED_BYTES, Certificate, Issuer, RevocationList, StaleList
from pki.services import audit
from pki.services.audit import Actor
from pki.services.publishing import deltas, revocation_lists, revocation_status
from pki.services.transactions import alone, writing

log = logging.getLogger("hatchery.publication")

# Clocks differ: who is a little behind takes a new list too. And two of one second have two dates.
BACKDATED = timedelta(seconds=5)
# A list that is dated further ahead is of a clock that was wrong.
AHEAD = timedelta(minutes=1)
ONE_SECOND = timedelta(seconds=1)
# An issuance that read the open shard just before it was closed is over by then.
SETTLED = timedelta(hours=1)


# The lock of all shards.
SHARDS = "shards"


def validity() -> timedelta:
    """How long a list may be relied on."""
    return timedelta(seconds=settings.PORTAL_CRL_SECONDS)


def turn(issuer: Issuer, shard: int) -> AbstractContextManager[bool]:
    """The lock under which a list is made: shards share one; each full list has its own, as it takes long."""
    return alone(f"full-list-{issuer.key_identifier}" if shard == FULL else SHARDS)


def without_bytes() -> QuerySet[RevocationList]:
    """All lists and their issuers, without what was signed."""
    return RevocationList.objects.select_related("issuer").defer(*SIGNED_BYTES)


def find(number: int) -> RevocationList:
    """A list as it is stored now, by its primary key."""
    return without_bytes().get(pk=number)


def has_key(issuer: Issuer) -> bool:
    """Whether its lists can be signed on this node. Raises KeystoreError."""
    return keystore().has(issuer.key_reference)


def make(found: RevocationList, now: datetime, actor: Actor | None = None) -> bool:
    """Make a list and store it, in its turn; whether it was stored. Raises KeystoreError."""
    started = time.monotonic()
    # First: what is noted later may have happened after the entries were read.
    noted = StaleList.objects.filter(issuer=found.issuer, shard=found.shard)
    notes = list(noted.values_list("pk", flat=True))
    heading = _heading(found, now)
    since = _ended_since(found, now)
    entries = list(revocation_status.entries(found.issuer, found.shard, since))
    der = _signed(found, heading, entries)
    fields = {
        "number": heading.number,
        "this_update": heading.this_update,
        "next_update": heading.next_update,
        "renew_at": None if _is_over(found, since, now) else now + validity() / 2,
        "entries": len(entries),
        "size": len(der),
        "fingerprint": pins.fingerprint(der),
        "der": der,
    }
    if found.shard == FULL:
        fields |= deltas.make(found, heading, entries, der, now)
    fields["milliseconds"] = round((time.monotonic() - started) * 1000)
    return _store(found, fields, notes, actor, now)


def _signed(found: RevocationList, heading: Heading, entries: Sequence[Entry]) -> bytes:
    issuer = found.issuer
    names = (
        {"freshest": revocation_lists.delta_url(issuer)}
        if found.shard == FULL
        else {"distribution_point": found.url}
    )
    unsigned = crls.complete(issuer.certificate, heading, entries, **names)
    return keystore().sign(issuer.key_reference, unsigned).public_bytes(Encoding.DER)


def _store(
    found: RevocationList, fields: dict[str, Any], notes: Sequence[int], actor: Actor | None, now: datetime
) -> bool:
    issuer, shard, number = found.issuer, found.shard, fields["number"]
    with writing():
        # Whoever stored another one in the meantime has given this number away.
        mine = RevocationList.objects.filter(pk=found.pk, number=found.number)
        if not mine.update(**fields):
            return False
        for start in range(0, len(notes), 1_000):
            StaleList.objects.filter(pk__in=notes[start : start + 1_000]).delete()
        if actor is not None:
            audit.record("crl.published", actor, now, issuer=issuer.name, shard=shard, number=number)
    log.debug("%s: shard %d, number %d, %d entries", issuer, shard, number, fields["entries"])
    return True


def _heading(found: RevocationList, now: datetime) -> Heading:
    this_update = (now - BACKDATED).replace(microsecond=0)
    if found.this_update is not None and found.this_update <= now + AHEAD:
        # Also when the clock was set back a little. But if it was ahead by hours, nobody would take a list
        # for hours: only the number must grow (RFC 5280 5.2.3).
        this_update = max(this_update, found.this_update + ONE_SECOND)
    next_update = max(now.replace(microsecond=0), this_update) + validity()
    number = max(found.number, found.issuer.crl_floor) + 1
    return Heading(number, this_update, min(next_update, found.issuer.not_after))


def _ended_since(found: RevocationList, now: datetime) -> datetime | None:
    """Certificates that had ended before this need not be on the list any more.

    RFC 5280 3.3: an entry stays until it stood on one list that was made after the certificate's end; and it
    stays for as long as a list is valid, so that who fetches no more than they must has seen it.
    """
    if found.this_update is None:
        return None
    return min(found.this_update, now - validity())


def _is_over(found: RevocationList, since: datetime | None, now: datetime) -> bool:
    """Whether nothing can come on this list any more: a closed shard all of whose certificates have left."""
    if found.shard == FULL or since is None or found.closed_at is None or now < found.closed_at + SETTLED:
        return False
    # Of one shard, by its index; told of the date too, SQLite would take another one.
    ends = Certificate.objects.filter(issuer=found.issuer, crl_shard=found.shard).values_list("not_after")
    return not any(end >= since for (end,) in ends.iterator(chunk_size=1_000))
