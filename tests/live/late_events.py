"""Audit events that are committed late, or by many at once, while they are sealed: run in a node."""

import threading
import time
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from pki.models import AuditChain, AuditEvent, AuditSeal
from pki.services import audit
from pki.services.audit import Actor
from pki.services.auditing import sealing, verifying
from pki.services.transactions import writing

WRITER = Actor("shell:test")
WRITERS, EACH = 4, 25


def record() -> AuditEvent:
    with writing():
        return audit.record("test.done", WRITER, timezone.now())


def seal_until(event: AuditEvent) -> int:
    """Seal until an event has its place, whoever else seals at that moment; which place."""
    while True:
        sealing.seal(timezone.now())
        if found := AuditSeal.objects.filter(event_id=event.pk).first():
            return found.position


def settled_below() -> int:
    return AuditChain.objects.get().sealed_below


def one_late() -> dict[str, Any]:
    """An event whose transaction ends after others with higher numbers were sealed."""
    other = connection.copy()
    other.set_autocommit(False)
    with other.cursor() as cursor:
        cursor.execute(
            "INSERT INTO pki_auditevent (at, kind, actor, count, detail) "
            "VALUES (now(), 'test.late', 'test', 1, '{}') RETURNING id"
        )
        (number,) = cursor.fetchone()
    before = [seal_until(record()) for _ in range(4)]
    waited = settled_below() <= number
    sealed_early = AuditSeal.objects.filter(event_id=number).exists()
    other.commit()
    other.close()
    position = seal_until(AuditEvent.objects.get(pk=number))
    for _ in range(3):
        seal_until(record())
    return {
        "higher numbers were sealed before": all(place < position for place in before) and not sealed_early,
        "it was waited for": waited,
        "nobody waits any more": settled_below() > number,
    }


def many_at_once() -> dict[str, Any]:
    """Transactions of several threads that take their time, while another one seals."""
    numbers: list[int] = []
    ended = threading.Event()

    def write() -> None:
        for turn in range(EACH):
            with transaction.atomic():
                event = audit.record("test.done", WRITER, timezone.now())
                time.sleep(0.001 * (turn % 5))
            numbers.append(event.pk)
        connection.close()

    def seal() -> None:
        while not ended.is_set():
            sealing.seal(timezone.now())
        connection.close()

    writers = [threading.Thread(target=write) for _ in range(WRITERS)]
    sealer = threading.Thread(target=seal)
    for thread in (sealer, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    ended.set()
    sealer.join()
    seal_until(record())
    sealed = AuditSeal.objects.filter(event_id__in=numbers).count()
    return {"all were sealed": sealed == len(numbers) == WRITERS * EACH}


def run() -> dict[str, Any]:
    late, many = one_late(), many_at_once()
    checker = verifying.checked([], timezone.now())
    return {**late, **many, "faults": checker.faults}
