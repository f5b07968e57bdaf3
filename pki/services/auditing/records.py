"""The audit trail as an export has it, record by record: as much memory for millions of events as for one."""

import itertools
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pki.core import audit_proof
from pki.models import AuditChain, AuditCheckpoint, AuditSeal
from pki.services.auditing import chain as chains
from pki.services.auditing import checkpoints, signers

Record = dict[str, Any]
_AT_ONCE = 1_000  # rows of one query


def whole(chain: AuditChain | None, now: datetime) -> Iterator[Record]:
    """All of the trail as it is now: signers, sealed events with their checkpoints, then what is not sealed.

    How far it goes, and by which keys, is settled at once: what happens while it is read is left to the next
    time. Its end is the caller's to tell. `chain` is read before, so that what it calls sealed is.
    """
    last = chains.last_seal()
    newest = chains.newest()
    name = chain.name if chain else ""
    head = {"type": "export", "format": audit_proof.FORMAT, "chain": name, "at": chains.written(now)}
    keys = map(signers.record, signers.rows())
    return itertools.chain([head], keys, _events(last.position if last else 0, newest))


def _events(position: int, newest: int) -> Iterator[Record]:
    yield from sealed(0, 0, position)
    # From the lowest number there is: sealing looks at none that is below those which it gives.
    for rows in chains.without_seal(chains.oldest(), newest, position):
        yield from ({"type": "unsealed", "event": chains.event_of(row)} for row in rows)


def sealed(position: int, number: int, until: int) -> Iterator[Record]:
    """The events after a position, to that of `until`; after the events that each is of, the checkpoints with
    numbers higher than `number`.
    """
    waiting = _checkpoints(number, until)
    checkpoint = next(waiting, None)
    for place, digest, event in _sealed_events(position, until):
        while checkpoint is not None and checkpoint.count < place:
            yield checkpoints.record(checkpoint)
            checkpoint = next(waiting, None)
        yield {"type": "event", "position": place, "hash": digest.hex(), "event": event}
    while checkpoint is not None:
        yield checkpoints.record(checkpoint)
        checkpoint = next(waiting, None)


def _sealed_events(position: int, until: int) -> Iterator[tuple[int, bytes, Record]]:
    columns = [f"event__{column}" for column in chains.COLUMNS]
    while True:
        # One whose event is gone is left out: the next one then stands at a wrong place.
        seals = AuditSeal.objects.filter(position__gt=position, position__lte=until).order_by("position")
        rows = list(seals.values_list("position", "hash", *columns)[:_AT_ONCE])
        for position, digest, *event in rows:
            yield position, bytes(digest), chains.event_of(tuple(event))
        if len(rows) < _AT_ONCE:
            return


def _checkpoints(number: int, until: int) -> Iterator[AuditCheckpoint]:
    while True:
        some = AuditCheckpoint.objects.filter(number__gt=number, count__lte=until).select_related("signer")
        rows = list(some.order_by("number")[:_AT_ONCE])
        yield from rows
        if len(rows) < _AT_ONCE:
            return
        number = rows[-1].number
