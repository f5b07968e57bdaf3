"""Forgetting what was told long ago: the log of deliveries, and later the notices themselves."""

from datetime import datetime, timedelta

from pki.core.expiry import LONGEST_DAYS
from pki.models import Delivery, ExpiryWarning, Notice
from pki.services.transactions import writing

DELIVERIES_KEPT = timedelta(days=90)
# Longer than any threshold: a certificate that somebody was warned of is over by then.
NOTICES_KEPT = timedelta(days=LONGEST_DAYS + 35)
_AT_ONCE = 1_000


def prune(now: datetime) -> int:
    """Forget what is older than it is kept; how many deliveries and notices. Two queries if none is."""
    return _deliveries(now - DELIVERIES_KEPT) + _notices(now - NOTICES_KEPT)


def _deliveries(before: datetime) -> int:
    gone = 0
    while True:
        # The oldest have the lowest numbers: no index of their age is needed.
        oldest = Delivery.objects.order_by("pk").values_list("pk", "created_at")[:_AT_ONCE]
        numbers = [number for number, created_at in oldest if created_at < before]
        if not numbers:
            return gone
        with writing():
            Delivery.objects.filter(pk__in=numbers).delete()
        gone += len(numbers)


def _notices(before: datetime) -> int:
    gone = 0
    while True:
        numbers = list(
            Notice.objects.filter(at__lt=before).order_by("at").values_list("pk", flat=True)[:_AT_ONCE]
        )
        if not numbers:
            return gone
        with writing():
            Delivery.objects.filter(notice__in=numbers).delete()
            ExpiryWarning.objects.filter(notice__in=numbers).delete()
            Notice.objects.filter(pk__in=numbers).delete()
        gone += len(numbers)
