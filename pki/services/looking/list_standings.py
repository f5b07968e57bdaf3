"""How revocation lists stand, in words: whether what is published is what is true.

Nothing here reads a list's bytes, and no query grows with the number of lists.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.db.models import Min, Q

from pki.models import FULL, SIGNED_BYTES, Certificate, Issuer, RevocationList, StaleList
from pki.services.publishing.making import AHEAD

# A list that has waited this long does not merely wait for its turn.
PATIENCE = timedelta(minutes=1)
# A full list that takes long to sign is signed less often (`publication`): it may wait so many times as long.
_TIMES_AS_LONG = 30
# Lists of one issuer that are shown with it.
SHOWN = 20
# Notes that are looked at, the oldest first: there are so many only where nothing is published at all.
_MOST_NOTES = 1_000

Waiting = Mapping[tuple[int, int], datetime]


class Word(StrEnum):
    """How a list stands."""

    CURRENT = "current"
    WAITING = "waiting"  # something changed, and it is about to be signed anew
    OVERDUE = "overdue"  # the same, for longer than PATIENCE
    OUT_OF_DATE = "out of date"  # past its next update: relying parties refuse it
    NOT_MADE = "not made yet"
    FROM_FUTURE = "from the future"  # it was signed while a clock was ahead: relying parties refuse it
    FINAL = "final"  # it is made no more


@dataclass(frozen=True)
class ListStanding:
    """How a list stands, and since when it waits or is too late, if it does."""

    word: Word
    since: datetime | None = None

    @property
    def waits(self) -> bool:
        return self.word in (Word.WAITING, Word.OVERDUE, Word.NOT_MADE)


@dataclass(frozen=True)
class StandsStill:
    """An issuer whose lists are not made anew as they should be."""

    issuer_id: int
    name: str
    since: datetime
    refused: bool  # a list is past its next update


def of(row: RevocationList, waiting: Waiting, now: datetime) -> ListStanding:
    """How a list stands at `now`; `waiting` is what the function told."""
    noted = waiting.get((row.issuer_id, row.shard))
    if row.issuer.not_after <= now or (row.number and row.renew_at is None and noted is None):
        return ListStanding(Word.FINAL)
    if row.next_update is not None and row.next_update <= now:
        return ListStanding(Word.OUT_OF_DATE, row.next_update)
    if row.this_update is not None and row.this_update > now + AHEAD:
        return ListStanding(Word.FROM_FUTURE, row.this_update)
    if row.renew_at is not None and row.renew_at < now - PATIENCE:
        return ListStanding(Word.OVERDUE, row.renew_at)
    if noted is not None and noted < now - _patience(row.shard, row.milliseconds):
        return ListStanding(Word.OVERDUE, noted)
    if not row.number:
        return ListStanding(Word.NOT_MADE, noted)
    return ListStanding(Word.CURRENT) if noted is None else ListStanding(Word.WAITING, noted)


def _patience(shard: int, milliseconds: int) -> timedelta:
    return max(PATIENCE, _TIMES_AS_LONG * timedelta(milliseconds=milliseconds)) if shard == FULL else PATIENCE


def waiting(now: datetime) -> Waiting:
    """Since when which lists of issuers that live wait to be made anew, by issuer and shard."""
    alive = StaleList.objects.filter(issuer__not_after__gt=now).order_by("pk")
    notes = alive.values_list("issuer_id", "shard", "at")[:_MOST_NOTES]
    since: dict[tuple[int, int], datetime] = {}
    for issuer, shard, at in notes:
        since[issuer, shard] = min(at, since.get((issuer, shard), at))
    return since


def shown_of(issuer: Issuer) -> list[RevocationList]:
    """An issuer's lists, SHOWN at most: the full one, the open shard, then the others, the newest first."""
    lists = issuer.revocation_lists.defer(*SIGNED_BYTES)
    newest = lists.filter(shard__gt=FULL).order_by("-shard")[: SHOWN - 1]
    return [*lists.filter(shard=FULL), *sorted(newest, key=lambda each: each.shard != issuer.open_shard)]


def named_by(certificate: Certificate) -> RevocationList | None:
    """The list that a certificate names, if it is ours to make."""
    lists = RevocationList.objects.select_related("issuer").defer(*SIGNED_BYTES)
    return lists.filter(issuer=certificate.issuer_id, shard=certificate.crl_shard).first()


def overdue(now: datetime) -> Q:
    """The condition that a list should have been made anew by now."""
    shards: dict[int, list[int]] = {}
    for issuer, shard in _waiting_too_long(now):
        shards.setdefault(issuer, []).append(shard)
    condition = Q(renew_at__lt=now - PATIENCE)
    for issuer, numbers in shards.items():
        condition |= Q(issuer=issuer, shard__in=numbers)
    return condition & Q(issuer__not_after__gt=now)


def standing_still(now: datetime) -> list[StandsStill]:
    """The living issuers whose lists are not made anew, the worst first."""
    late = RevocationList.objects.filter(renew_at__lt=now - PATIENCE).order_by().values("issuer")
    since: dict[int, tuple[datetime, datetime | None]] = {
        each["issuer"]: (each["due"], each["ends"])
        for each in late.annotate(due=Min("renew_at"), ends=Min("next_update"))
    }
    for (issuer, _), noted in _waiting_too_long(now).items():
        due, ends = since.get(issuer, (noted, None))
        since[issuer] = (min(due, noted), ends)
    alive = Issuer.objects.filter(pk__in=since, not_after__gt=now).values_list("pk", "name")
    found = [
        StandsStill(pk, name, since[pk][0], refused=(ends := since[pk][1]) is not None and ends <= now)
        for pk, name in alive
    ]
    return sorted(found, key=lambda each: (not each.refused, each.since))


def _waiting_too_long(now: datetime) -> Waiting:
    """Which lists wait for longer than is in order, since when."""
    old = {which: since for which, since in waiting(now).items() if since < now - PATIENCE}
    full = RevocationList.objects.filter(shard=FULL, issuer__in=[pk for pk, shard in old if shard == FULL])
    for pk, took in full.values_list("issuer_id", "milliseconds") if old else ():
        if old[pk, FULL] >= now - _patience(FULL, took):
            del old[pk, FULL]
    return old
