"""Sealing: committed events get their places in the chain, after the fact, so that nobody waits for another.

On SQLite events are committed in the order of their numbers. On PostgreSQL a long transaction may commit one
with a lower number after others were sealed: it gets the next place, whatever its number. How far back such
ones are to be looked for is known from the transactions that run (`_settle`).
"""

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from django.db import connection

from pki.core import audit_proof
from pki.models import AuditChain, AuditCheckpoint, AuditEvent, AuditSeal
from pki.services.transactions import writing

# Events of one transaction: on SQLite nobody else writes during one.
BATCH = 1_000
# What of an event is sealed, with what makes its device and certificate known elsewhere.
COLUMNS = (
    "id",
    "at",
    "kind",
    "actor",
    "address",
    "device__name",
    "certificate__fingerprint",
    "count",
    "detail",
)
_INSERT = "INSERT INTO pki_auditseal (position, event_id, hash) VALUES (%s, %s, %s)"
_NAMES = tuple(column.partition("__")[0] for column in COLUMNS)


def event_of(row: tuple[Any, ...]) -> dict[str, Any]:
    """An event as it is sealed and exported, of its COLUMNS."""
    event = dict(zip(_NAMES, row, strict=True))
    event["at"] = written(event["at"])
    return event


def written(at: datetime) -> str:
    """A moment as statements and events have it: ISO 8601, UTC, to the microsecond."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def here(now: datetime) -> AuditChain:
    """The chain of this installation; begun if there is none."""
    chain, _ = AuditChain.objects.get_or_create(
        pk=1, defaults={"name": secrets.token_hex(16), "begun_at": now}
    )
    return chain


def known() -> AuditChain | None:
    """The chain of this installation; None if nothing was sealed yet."""
    return AuditChain.objects.filter(pk=1).first()


def last_seal() -> AuditSeal | None:
    """The seal of the event that was sealed last."""
    return AuditSeal.objects.order_by("-position").first()


def last_checkpoint() -> AuditCheckpoint | None:
    """The one that was signed last."""
    return AuditCheckpoint.objects.select_related("signer").order_by("-number").first()


def newest() -> int:
    """The number of the newest event that is committed; 0 if there is none."""
    return AuditEvent.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def oldest() -> int:
    """The lowest number that an event has; 1 if there is none."""
    lowest = AuditEvent.objects.order_by("pk").values_list("pk", flat=True).first()
    return 1 if lowest is None else lowest


def extend(chain: AuditChain) -> int:
    """Seal all events that are committed and have no seal; how many.

    One process at a time, else one of them gets an IntegrityError and leaves it to the other.
    """
    # Before the events are read: what these transactions wrote is among them if they have ended.
    oldest, _ = _transactions()
    top, last, sealed = newest(), last_seal(), 0
    position = last.position if last else 0
    head = bytes(last.hash) if last else audit_proof.genesis(chain.name)
    for rows in without_seal(chain.sealed_below, top):
        seals = []
        for row in rows:
            position, head = position + 1, audit_proof.event_hash(head, event_of(row))
            seals.append((position, row[0], head))
        with writing(), connection.cursor() as cursor:
            # A third of the CPU of model objects: an old trail has millions, and on SQLite others wait.
            cursor.executemany(_INSERT, seals)
        sealed += len(seals)
    _settle(chain, oldest, top)
    return sealed


def without_seal(first: int, until: int, position: int | None = None) -> Iterator[list[tuple[Any, ...]]]:
    """COLUMNS of the events from one number to another that have no seal, or none up to a position; by their
    numbers, a batch at a time.
    """
    # Both ranges are read by their indexes, however a database would join the tables.
    seals = AuditSeal.objects.all() if position is None else AuditSeal.objects.filter(position__lte=position)
    while first <= until:
        events = AuditEvent.objects.filter(pk__gte=first, pk__lte=until).order_by("pk")
        if not (numbers := list(events.values_list("pk", flat=True)[:BATCH])):
            return
        first = numbers[-1] + 1
        ends = {"event_id__gte": numbers[0], "event_id__lte": numbers[-1]}
        missing = set(numbers).difference(seals.filter(**ends).values_list("event_id", flat=True))
        if missing:
            rows = events.filter(pk__gte=min(missing), pk__lte=max(missing)).values_list(*COLUMNS)
            yield [row for row in rows if row[0] in missing]


def _settle(chain: AuditChain, oldest: int, top: int) -> None:
    """Note how far the events are sealed for good: nobody looks among those again.

    A transaction has its own number moments after the first event's: who wrote an event below
    `settling_below` is among the transactions before `settled_by`. When all of those have ended, and the
    trail was read after that, none is left out.
    """
    _, next_one = _transactions()
    if next_one < chain.settled_by:
        # The number of another cluster, from which this database was restored: here it may never come.
        chain.settled_by = next_one
        with writing():
            chain.save(update_fields=("settled_by",))
        return
    if oldest < chain.settled_by:
        return
    sealed_below = top + 1 if connection.vendor == "sqlite" else chain.settling_below
    if (sealed_below, top + 1) == (chain.sealed_below, chain.settling_below):
        return
    chain.sealed_below, chain.settling_below = sealed_below, top + 1
    chain.settled_by = next_one
    with writing():
        chain.save(update_fields=("sealed_below", "settling_below", "settled_by"))


def _transactions() -> tuple[int, int]:
    """The oldest transaction that runs, and the first one that has not begun; SQLite has one writer."""
    if connection.vendor == "sqlite":
        return 0, 0
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_snapshot_xmin(now)::text::bigint, pg_snapshot_xmax(now)::text::bigint "
            "FROM pg_current_snapshot() AS now"
        )
        oldest, next_one = cursor.fetchone()
    return oldest, next_one
