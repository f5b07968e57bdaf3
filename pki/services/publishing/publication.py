"""Making CRLs: by one process of all nodes at a time, outside any transaction, stored by a short one.

A list is made when a note says that it is stale (`revocation_lists`), when half of its life is over, when
an administrator asks for it, and, by a GET, if there is none that is valid. A list that was signed and not
stored never left this process: its number may be used again.
"""

import logging
import time
from collections.abc import Iterable
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.serialization import Encoding
from django.conf import settings
from django.db.models import QuerySet

from pki.core import crls, pins
from pki.core.crls import Heading
from pki.core.errors import Refusal
from pki.keystore import KeystoreError, keystore
from pki.models import FULL, Certificate, Issuer, RevocationList, StaleList
from pki.services import audit
from pki.services.audit import Actor
from pki.services.publishing import deltas, revocation_lists, revocation_status
from pki.services.transactions import alone, writing

log = logging.getLogger("hatchery.publication")

# Clocks differ: who is a little behind takes a new list too. And two of one second have two dates.
BACKDATED = timedelta(seconds=5)
_ONE_SECOND = timedelta(seconds=1)
# A list that takes long to make rests for so many times as long, or it would keep a core busy.
REST = 10
# Lists that are made quicker than this need no rest.
QUICK = timedelta(milliseconds=500)
# An issuance that read the open shard just before it was closed is over by then.
SETTLED = timedelta(hours=1)
# Seconds that an administrator waits for who makes lists at this moment.
PATIENCE = 10.0

_WHAT = "revocation-lists"
_BYTES = ("der", "base_der", "delta_der")


class PublicationBusy(Refusal):
    """Somebody else makes lists at this moment."""

    code = "publication_busy"


class NotPublishable(Refusal):
    """This node cannot make the list."""

    code = "not_publishable"


def publish_due(now: datetime) -> int:
    """Make the lists that are stale or due; how many. Nothing, if another process is at it.

    Lists of an issuer whose key is on another node are left to that. One that cannot be made does not keep
    the others from it: raises KeystoreError at the end.
    """
    if not _due(now):
        return 0
    made = 0
    trouble: KeystoreError | None = None
    with alone(_WHAT) as free:
        for number in _due(now) if free else ():
            try:
                found = _find(number)
                if _can_sign(found.issuer, now) and not _rests(found, now):
                    made += _make(found, now)
            except KeystoreError as error:
                trouble = trouble or error
    if trouble is not None:
        raise trouble
    return made


def publish_now(lists: Iterable[RevocationList], actor: Actor, now: datetime) -> int:
    """Make lists because an administrator asks for it; how many. Raises PublicationBusy, NotPublishable or
    KeystoreError; what was made before that stays.
    """
    chosen = list(lists)
    deadline = time.monotonic() + PATIENCE
    while True:
        with alone(_WHAT) as free:
            if free:
                return sum(_make(_find(each.pk), now, actor) for each in chosen if _require(each, now))
        if time.monotonic() > deadline:
            raise PublicationBusy("Other lists are being made at this moment; try again in a minute.")
        time.sleep(0.05)


def current(key_identifier: str, shard: int, now: datetime) -> RevocationList | None:
    """A list without its bytes, as it is stored; None if there is no such issuer, or no such list of it.

    Made here only if there is none, or none that is still valid. Raises PublicationBusy if somebody else is
    making lists then, NotPublishable if there is none and cannot be, or KeystoreError.
    """
    found = _without_bytes().filter(issuer__key_identifier=key_identifier, shard=shard).first()
    return found and _made(found, now)


def current_full_lists(now: datetime) -> list[RevocationList]:
    """The full lists of all issuers that live. Raises as `current`."""
    found = _without_bytes().filter(shard=FULL, issuer__not_after__gt=now).order_by("issuer_id")
    return [_made(each, now) for each in found]


def _made(found: RevocationList, now: datetime) -> RevocationList:
    if not _wanting(found, now):
        return found
    if not _can_sign(found.issuer, now):
        if found.number:
            return found
        raise NotPublishable("This list was not made yet, and this node cannot; ask another one.")
    with alone(_WHAT) as free:
        if not free:
            raise PublicationBusy("This list is being made at this moment; try again in a few seconds.")
        # Somebody may have made it before the lock was free.
        found = _find(found.pk)
        if _wanting(found, now):
            _make(found, now)
            found = _find(found.pk)
    return found


def _wanting(found: RevocationList, now: datetime) -> bool:
    """Whether a list has to be made before it can be served."""
    if found.next_update is None:
        return True
    return found.next_update <= now and found.renew_at is not None


def _without_bytes() -> QuerySet[RevocationList]:
    return RevocationList.objects.select_related("issuer").defer(*_BYTES)


def _find(number: int) -> RevocationList:
    return _without_bytes().get(pk=number)


def _due(now: datetime) -> list[int]:
    """The numbers of the lists that are stale, or whose time has come; small ones first."""
    notes = StaleList.objects.filter(issuer__not_after__gt=now)
    stale = set(notes.values_list("issuer_id", "shard").distinct())
    due = set(RevocationList.objects.filter(renew_at__lte=now).values_list("pk", flat=True))
    if stale:
        rows = RevocationList.objects.filter(issuer__in={issuer for issuer, _ in stale})
        for number, issuer, shard in rows.values_list("pk", "issuer_id", "shard"):
            if (issuer, shard) in stale:
                due.add(number)
    if not due:
        return []
    order = RevocationList.objects.filter(pk__in=due).order_by("milliseconds", "pk")
    return list(order.values_list("pk", flat=True))


def _can_sign(issuer: Issuer, now: datetime) -> bool:
    return now < issuer.not_after and keystore().has(issuer.key_reference)


def _require(found: RevocationList, now: datetime) -> bool:
    issuer = found.issuer
    if now >= issuer.not_after:
        raise NotPublishable(f"{issuer} has ended: nobody takes a list of it any more.")
    if not keystore().has(issuer.key_reference):
        raise NotPublishable(f"The key of {issuer} is on another node; publish its lists there.")
    return True


def _rests(found: RevocationList, now: datetime) -> bool:
    """Whether a list was made so lately that it waits; what is noted of it stays noted."""
    if found.this_update is None:
        return False
    took = timedelta(milliseconds=found.milliseconds)
    if found.shard == FULL and took > QUICK:
        made = found.this_update + BACKDATED
        if made <= now < made + REST * took:
            return True
    # Several a second, one after the other, would be dated ever further ahead.
    return now < found.this_update + _ONE_SECOND <= now + BACKDATED


def _make(found: RevocationList, now: datetime, actor: Actor | None = None) -> bool:
    """Make a list and store it, under the lock; whether it was stored."""
    started = time.monotonic()
    issuer, shard = found.issuer, found.shard
    # First: what is noted later may have happened after the entries were read.
    notes = list(StaleList.objects.filter(issuer=issuer, shard=shard).values_list("pk", flat=True))
    heading = _heading(found, now)
    since = _ended_since(found, now)
    entries = list(revocation_status.entries(issuer, shard, since))
    if shard == FULL:
        unsigned = crls.complete(
            issuer.certificate, heading, entries, freshest=revocation_lists.delta_url(issuer)
        )
    else:
        unsigned = crls.complete(issuer.certificate, heading, entries, distribution_point=found.url)
    der = keystore().sign(issuer.key_reference, unsigned).public_bytes(Encoding.DER)
    fields = {
        "number": heading.number,
        "this_update": heading.this_update,
        "next_update": heading.next_update,
        "renew_at": None if _is_over(found, since, now) else now + _validity() / 2,
        "entries": len(entries),
        "size": len(der),
        "fingerprint": pins.fingerprint(der),
        "der": der,
    }
    if shard == FULL:
        fields |= deltas.make(found, heading, entries, der, now)
    fields["milliseconds"] = round((time.monotonic() - started) * 1000)
    with writing():
        # Whoever stored another one in the meantime has given this number away.
        mine = RevocationList.objects.filter(pk=found.pk, number=found.number)
        if not mine.update(**fields):
            return False
        for start in range(0, len(notes), 1_000):
            StaleList.objects.filter(pk__in=notes[start : start + 1_000]).delete()
        if actor is not None:
            audit.record("crl.published", actor, now, issuer=issuer.name, shard=shard, number=heading.number)
    log.debug("%s: shard %d, number %d, %d entries", issuer, shard, heading.number, len(entries))
    return True


def _heading(found: RevocationList, now: datetime) -> Heading:
    this_update = (now - BACKDATED).replace(microsecond=0)
    if found.this_update is not None:
        # Also when the clock was set back.
        this_update = max(this_update, found.this_update + _ONE_SECOND)
    next_update = max(now.replace(microsecond=0), this_update) + _validity()
    return Heading(found.number + 1, this_update, min(next_update, found.issuer.not_after))


def _validity() -> timedelta:
    return timedelta(seconds=settings.PORTAL_CRL_SECONDS)


def _ended_since(found: RevocationList, now: datetime) -> datetime | None:
    """Certificates that had ended before this need not be on the list any more.

    RFC 5280 3.3: an entry stays until it stood on one list that was made after the certificate's end; and it
    stays for as long as a list is valid, so that who fetches no more than they must has seen it.
    """
    if found.this_update is None:
        return None
    return min(found.this_update, now - _validity())


def _is_over(found: RevocationList, since: datetime | None, now: datetime) -> bool:
    """Whether nothing can come on this list any more: a closed shard all of whose certificates have left."""
    if found.shard == FULL or since is None or found.closed_at is None or now < found.closed_at + SETTLED:
        return False
    # Of one shard, by its index; told of the date too, SQLite would take another one.
    ends = Certificate.objects.filter(issuer=found.issuer, crl_shard=found.shard).values_list("not_after")
    return not any(end >= since for (end,) in ends.iterator(chunk_size=1_000))
