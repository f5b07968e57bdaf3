"""Forgetting refused enrollments that are old, or too many: the audit trail keeps that they were refused."""

from datetime import datetime, timedelta

from django.db.models import QuerySet

from pki.models import EnrollmentRequest
from pki.services import audit
from pki.services.audit import HATCHERY
from pki.services.transactions import writing

KEPT = timedelta(days=90)  # after the last time
# More of them nobody reads in the inbox; whoever has many addresses could fill the database.
MOST_KEPT = 100_000
# Forgotten is once a day, or so many together: each time is on record.
_APART = timedelta(days=1)
_AT_ONCE = 1_000


def prune(now: datetime) -> int:
    """Forget what is older than it is kept, and the oldest beyond MOST_KEPT; how many."""
    before = _due_before(now)
    gone = 0
    while before and (
        numbers := list(
            _refused().filter(last_at__lte=before).order_by("last_at").values_list("pk", flat=True)[:_AT_ONCE]
        )
    ):
        with writing():
            # One that came again this moment is not old any more.
            deleted, _ = _refused().filter(pk__in=numbers, last_at__lte=before).delete()
            audit.record("enrollment.forgotten", HATCHERY, now, requests=deleted, before=before.isoformat())
        gone += deleted
    return gone


def _due_before(now: datetime) -> datetime | None:
    by_age = now - KEPT
    moments = _refused().order_by("-last_at").values_list("last_at", flat=True)
    if moments[MOST_KEPT + _AT_ONCE - 1 :].first() is not None:
        return max(by_age, moments[MOST_KEPT])
    return by_age if _refused().filter(last_at__lte=by_age - _APART).exists() else None


def _refused() -> QuerySet[EnrollmentRequest]:
    return EnrollmentRequest.objects.filter(state=EnrollmentRequest.State.REFUSED)
