"""When CRLs are made, and by whom: each by one process of all nodes at a time.

A list is made when a note says that it is stale (`revocation_lists`), when half of its life is over, when
an administrator asks for it, and, by a GET, if there is none that is valid (`serving`).
"""

import logging
import time
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Min, Q

from pki.core.errors import Refusal
from pki.keystore import KeystoreError
from pki.models import FULL, Issuer, RevocationList, StaleList
from pki.services.audit import Actor
from pki.services.complaints import COMPLAINTS
from pki.services.publishing import making
from pki.services.publishing.making import AHEAD, BACKDATED, ONE_SECOND
from pki.services.transactions import alone

log = logging.getLogger("hatchery.publication")

# A list that takes longer than this to make cannot be out within five seconds anyway: it rests as long as it
# took, or it would keep a core busy.
QUICK = timedelta(seconds=2)
# Seconds that an administrator waits for who makes lists at this moment.
PATIENCE = 10.0
# By then a node that has the key has made what is due.
LEFT_LYING = timedelta(seconds=30)
# Lists that are made before anything listens.
MOST_AT_START = 20

_FULL, _SHARDS = Q(shard=FULL), Q(shard__gt=FULL)


class PublicationBusy(Refusal):
    """Somebody else makes lists at this moment."""

    code = "publication_busy"


class NotPublishable(Refusal):
    """This node cannot make the list."""

    code = "not_publishable"


def publish_shards(now: datetime) -> int:
    """Make the shards that are stale or due; how many. Those that another process is making are left to it.

    Lists of an issuer whose key is on another node are left to that. One that cannot be made does not keep
    the others from it: raises KeystoreError at the end.
    """
    if not _due(_SHARDS, now):
        return 0
    with alone(making.SHARDS) as free:
        return _make_each(_due(_SHARDS, now), now) if free else 0


def publish_full_lists(now: datetime) -> int:
    """The same of full lists, which may take long."""
    return _make_each(_due(_FULL, now), now)


def publish_first(now: datetime) -> int:
    """Make the lists that were never made, some of them; how many. Raises KeystoreError at the end."""
    never = RevocationList.objects.filter(number=0, issuer__not_after__gt=now).order_by("pk")
    with alone(making.SHARDS) as free:
        return _make_each(list(never.values_list("pk", flat=True)[:MOST_AT_START]), now) if free else 0


def publish_now(lists: Iterable[RevocationList], actor: Actor, now: datetime) -> int:
    """Make lists because an administrator asks for it; how many. Raises PublicationBusy, NotPublishable or
    KeystoreError; what was made before that stays.
    """
    deadline = time.monotonic() + PATIENCE
    return sum(_make_now(each, actor, now, deadline) for each in list(lists))


def _make_now(wanted: RevocationList, actor: Actor, now: datetime, deadline: float) -> bool:
    while True:
        with making.turn(wanted.issuer, wanted.shard) as free:
            if free:
                found = making.find(wanted.pk)
                _require_signable(found.issuer, now)
                # One that would be dated ahead was made just now, several times: nobody would take the next.
                return not _is_dated_now(found, now) and making.make(found, now, actor)
        if time.monotonic() > deadline:
            raise PublicationBusy("Other lists are being made at this moment; try again in a minute.")
        time.sleep(0.05)


def _require_signable(issuer: Issuer, now: datetime) -> None:
    if now >= issuer.not_after:
        raise NotPublishable(f"{issuer} has ended: nobody takes a list of it any more.")
    if not making.has_key(issuer):
        raise NotPublishable(f"The key of {issuer} is on another node; publish its lists there.")


def _make_each(numbers: Iterable[int], now: datetime) -> int:
    """Make lists, shards under the caller's lock, each full list under its own."""
    made = 0
    trouble: KeystoreError | None = None
    skipped: set[int] = set()
    for number in numbers:
        found = making.find(number)
        if now >= found.issuer.not_after or found.issuer_id in skipped:
            continue
        try:
            if making.has_key(found.issuer):
                made += _make_unless_resting(found, now)
            else:
                skipped.add(found.issuer_id)
                _complain_if_left_lying(found, now)
        except KeystoreError as error:
            trouble = trouble or error
    if trouble is not None:
        raise trouble
    return made


def _make_unless_resting(found: RevocationList, now: datetime) -> bool:
    if found.shard != FULL:
        return not _rests(found, now) and making.make(found, now)
    if _rests(found, now):
        return False
    with making.turn(found.issuer, FULL) as free:
        # Whoever had the lock a moment ago has made it, perhaps before it was looked up here.
        return free and found.pk in _due(_FULL, now) and making.make(making.find(found.pk), now)


def _due(which: Q, now: datetime) -> list[int]:
    """The numbers of the lists that are stale, or whose time has come; small ones first."""
    notes = StaleList.objects.filter(which, issuer__not_after__gt=now)
    stale: dict[int, list[int]] = {}
    for issuer, shard in notes.values_list("issuer_id", "shard").distinct():
        stale.setdefault(issuer, []).append(shard)
    # What would be made only long after half of its life was made while the clock was ahead.
    due = Q(renew_at__lte=now) | Q(renew_at__gt=now + making.validity() / 2 + AHEAD)
    for issuer, shards in stale.items():
        due |= Q(issuer=issuer, shard__in=shards)
    rows = RevocationList.objects.filter(due, which).order_by("milliseconds", "pk")
    return list(rows.values_list("pk", flat=True))


def _complain_if_left_lying(found: RevocationList, now: datetime) -> None:
    noted = StaleList.objects.filter(issuer=found.issuer, shard=found.shard).aggregate(at=Min("at"))["at"]
    since = min(each for each in (noted, found.renew_at, now) if each is not None)
    if now - since > LEFT_LYING:
        COMPLAINTS.say(
            log,
            f"CRLs of {found.issuer} are not made, and do not say what was revoked since",
            "its key is not on this node, and no other node makes them; restore the key folder "
            "(PORTAL_DATA_DIR/keys) from a backup, or start the node that has it.",
        )


def _rests(found: RevocationList, now: datetime) -> bool:
    """Whether a list was made so lately that it waits; what is noted of it stays noted."""
    if found.this_update is None:
        return False
    took = timedelta(milliseconds=found.milliseconds)
    if found.shard == FULL and took > QUICK:
        made = found.this_update + BACKDATED
        if made <= now < made + took:
            return True
    return _is_dated_now(found, now)


def _is_dated_now(found: RevocationList, now: datetime) -> bool:
    """Whether several were made a second, one after the other, so that the next would be dated ahead."""
    return found.this_update is not None and now < found.this_update + ONE_SECOND <= now + BACKDATED
