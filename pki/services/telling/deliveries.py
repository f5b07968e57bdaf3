"""Deliveries: each notice on its way to each who is to be told, tried until it arrives or is given up."""

from datetime import datetime, timedelta

from pki.core.errors import Refusal
from pki.models import Delivery
from pki.services.audit import Actor

# After each failure until the next try, and then no more.
BACK_OFF = (
    timedelta(seconds=5),
    timedelta(minutes=1),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(hours=24),
)


class DeliveredAlready(Refusal):
    """It arrived, and is not sent again."""

    code = "delivered_already"


class BeingSent(Refusal):
    """Somebody is sending it this moment."""

    code = "being_sent"


def send_due(now: datetime) -> int:
    """Send what is due; how many arrived. Several nodes may call it at once. Raises DatabaseError."""
    raise NotImplementedError


def try_again(delivery: Delivery, actor: Actor, now: datetime) -> Delivery:
    """Try a delivery that was given up, or waits for its next try, now and once; with its outcome.

    Raises DeliveredAlready or BeingSent.
    """
    raise NotImplementedError
