"""Deliveries: each notice on its way to each who is to be told, tried until it arrives or is given up.

Whoever sends one has it alone for a while (a lease), and no transaction is open meanwhile. If he is killed,
it is sent once more when the lease is over: a receiver knows it again by its webhook-id.
"""

import logging
import random
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import F, Q, QuerySet

from pki.core.errors import Refusal
from pki.models import Delivery, Notice, Webhook
from pki.services import audit
from pki.services.audit import Actor
from pki.services.telling import kinds, sending
from pki.services.telling.sending import Answer
from pki.services.transactions import writing

log = logging.getLogger("hatchery.deliveries")

# After each failure until the next try; after the last one, none.
BACK_OFF = (
    timedelta(seconds=5),
    timedelta(minutes=1),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(hours=24),
)
_JITTER = 0.25  # of a pause, at most so much more: what failed together does not come again together
_LEASE = timedelta(minutes=5)  # longer than any mail server may take
_AT_ONCE = 8  # are sent side by side, each to somebody else
_LONGEST_RUN = 45.0  # seconds, after which what is due waits for the next run


class DeliveredAlready(Refusal):
    """It arrived, and is not sent again."""

    code = "delivered_already"


class BeingSent(Refusal):
    """Somebody is sending it this moment."""

    code = "being_sent"


def send_due(now: datetime) -> int:
    """Send what is due; how many arrived. Several nodes may call it at once. Raises DatabaseError.

    To each receiver one after the other, until the first that fails: the rest waits for the next run.
    """
    began = time.monotonic()
    arrived, failed = 0, set[int | None]()
    while (elapsed := time.monotonic() - began) < _LONGEST_RUN:
        moment = now + timedelta(seconds=elapsed)
        claimed = list(_claimed(moment, failed))
        if not claimed:
            break
        for delivery, answer in zip(claimed, sending.all_tried(claimed, moment), strict=True):
            _record(delivery, answer, now + timedelta(seconds=time.monotonic() - began))
            if answer.error:
                failed.add(delivery.webhook_id)
            else:
                arrived += 1
    return arrived


def try_again(delivery: Delivery, actor: Actor, now: datetime) -> Delivery:
    """Try a delivery that was given up, or waits for its next try, now and once; with its outcome.

    Not for who is in a transaction: a receiver may take ten seconds. Raises DeliveredAlready, or BeingSent.
    """
    with writing():
        if not _claim(Delivery.objects.filter(pk=delivery.pk).exclude(state=Delivery.State.DELIVERED), now):
            found = Delivery.objects.filter(pk=delivery.pk).first()
            if found is not None and found.state != Delivery.State.DELIVERED:
                raise BeingSent("It is being sent this moment; look again in some seconds.")
            raise DeliveredAlready("It arrived already, and is not sent again.")
        claimed = _whole(delivery.pk)
        audit.record(
            "delivery.tried_again",
            actor,
            now,
            notice=claimed.notice_id,
            webhook=claimed.webhook.name if claimed.webhook else None,
        )
    return send_claimed(claimed, now)


def claimed_at_birth(notice: Notice, webhook: Webhook, now: datetime) -> Delivery:
    """A delivery that the caller is about to send by `send_claimed`, and nobody else."""
    return Delivery.objects.create(
        notice=notice, webhook=webhook, created_at=now, next_at=now, attempts=1, leased_until=now + _LEASE
    )


def send_claimed(delivery: Delivery, now: datetime) -> Delivery:
    """Send a delivery that is the caller's alone; with its outcome."""
    began = time.monotonic()
    answer = sending.tried(delivery, now)
    _record(delivery, answer, now + timedelta(seconds=time.monotonic() - began))
    return _whole(delivery.pk)


def _claimed(moment: datetime, failed: set[int | None]) -> Iterator[Delivery]:
    """The delivery that is due first to each receiver, now the caller's alone."""
    due = Delivery.objects.filter(state=Delivery.State.PENDING, next_at__lte=moment).filter(_free(moment))
    if not due.exists():
        return
    enabled = Webhook.objects.filter(enabled=True).order_by("pk").values_list("pk", flat=True)
    receivers = [each for each in (None, *enabled) if each not in failed]
    claimed = 0
    for receiver in receivers:
        first = due.filter(webhook=receiver).order_by("next_at", "pk").values_list("pk", flat=True).first()
        if first is not None and _claim(due.filter(pk=first), moment):
            yield _whole(first)
            claimed += 1
            if claimed == _AT_ONCE:
                return


def _free(moment: datetime) -> Q:
    return Q(leased_until=None) | Q(leased_until__lte=moment)


def _claim(delivery: QuerySet[Delivery], moment: datetime) -> bool:
    """Make a delivery the caller's alone; false if it is somebody else's."""
    with writing():
        changed = delivery.filter(_free(moment)).update(
            state=Delivery.State.PENDING,
            next_at=moment,
            attempts=F("attempts") + 1,
            leased_until=moment + _LEASE,
        )
    return changed == 1


def _whole(number: int) -> Delivery:
    return Delivery.objects.select_related("notice", "webhook").get(pk=number)


def _record(delivery: Delivery, answer: Answer, moment: datetime) -> None:
    """Keep what became of a try, unless its lease ran out and it is somebody else's."""
    mine = Delivery.objects.filter(pk=delivery.pk, leased_until=delivery.leased_until)
    outcome: dict[str, object] = {"status": answer.status, "error": answer.error[:500], "leased_until": None}
    if not answer.error:
        outcome |= {"state": Delivery.State.DELIVERED, "delivered_at": moment, "next_at": None}
    elif delivery.attempts > len(BACK_OFF) or delivery.notice.kind == kinds.TEST:
        outcome |= {"state": Delivery.State.GIVEN_UP, "next_at": None}
        receiver = f"the webhook {delivery.webhook.name}" if delivery.webhook else "mail"
        log.warning("Notice %d to %s was given up: %s", delivery.notice_id, receiver, answer.error)
    else:
        pause = BACK_OFF[max(delivery.attempts, 1) - 1]
        # Dice, no secret.
        outcome["next_at"] = moment + pause * (1 + random.uniform(0, _JITTER))  # noqa: S311
    with writing():
        mine.update(**outcome)
