"""Deliveries: each notice on its way to each who is to be told, tried until it arrives or is given up.

Whoever sends one has it alone for a while (a lease), and no transaction is open meanwhile. If he is killed,
it is sent once more when the lease is over: a receiver knows it again by its webhook-id.
"""

import logging
import random
import time
from collections import deque
from datetime import datetime, timedelta
from queue import SimpleQueue

from django.db.models import F, Min, Q, QuerySet

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
# Whatever is to wait for longer was put off by a clock that was ahead.
_LONGEST_WAIT = BACK_OFF[-1] * (1 + _JITTER)
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

    To each receiver one after the other, until the first that fails: the rest waits for the next run. Who has
    waited longest comes first, and after each one that arrived it is the others' turn.
    """
    began = time.monotonic()

    def moment() -> datetime:
        return now + timedelta(seconds=time.monotonic() - began)

    receivers = deque(_receivers(now))
    answers: sending.Answers = SimpleQueue()
    arrived = under_way = 0
    while True:
        while receivers and under_way < _AT_ONCE and time.monotonic() - began < _LONGEST_RUN:
            if (claimed := _claimed(receivers.popleft(), moment())) is not None:
                sending.begin(claimed, moment(), answers)
                under_way += 1
        if not under_way:
            return arrived
        delivery, answer = answers.get()
        under_way -= 1
        _record(delivery, answer, moment())
        if not answer.error:
            arrived += 1
            receivers.append(delivery.webhook_id)


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


def _receivers(moment: datetime) -> list[int | None]:
    """To whom something is due: webhooks by their numbers, None for mail; who has waited longest first."""
    waiting = _due(moment).values("webhook").annotate(since=Min("next_at")).order_by("since", "webhook_id")
    return list(waiting.values_list("webhook", flat=True))


def _claimed(receiver: int | None, moment: datetime) -> Delivery | None:
    """The delivery that is due first to a receiver, now the caller's alone; none if somebody was quicker."""
    due = _due(moment).filter(webhook=receiver)
    first = due.order_by("next_at", "pk").values_list("pk", flat=True).first()
    if first is None or not _claim(Delivery.objects.filter(_is_due(moment), pk=first), moment):
        return None
    return _whole(first)


def _due(moment: datetime) -> QuerySet[Delivery]:
    enabled = Q(webhook=None) | Q(webhook__enabled=True)
    return Delivery.objects.filter(_is_due(moment), _free(moment), enabled)


def _is_due(moment: datetime) -> Q:
    at_last = Q(next_at__lte=moment) | Q(next_at__gt=moment + _LONGEST_WAIT)
    return Q(state=Delivery.State.PENDING) & at_last


def _free(moment: datetime) -> Q:
    over = Q(leased_until__lte=moment) | Q(leased_until__gt=moment + _LONGEST_WAIT)
    return Q(leased_until=None) | over


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
