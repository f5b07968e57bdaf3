"""Whether the fleet is kept fresh: what ends and was not renewed, campaigns at work, notices that were lost.

Every query here is bounded, however large the tables are.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, QuerySet

from pki.models import Campaign, Certificate, Delivery, Device, TaskRun, Webhook
from pki.services.revoking import revocation
from pki.services.telling import mail

# Who has not renewed by then is late, and not just in its window.
SOON = timedelta(days=7)
LATELY = timedelta(days=7)
# So many of those that end first are looked at.
MOST_LOOKED_AT = 10_000
_MOST_LOST = 100
# Maintenance is done each minute; after so long without, something is wrong.
_LONGEST_REST = timedelta(minutes=15)
# Nodes' clocks differ by less.
_AHEAD = timedelta(minutes=1)


@dataclass(frozen=True)
class Upkeep:
    """What maintenance says of itself."""

    failed: tuple[TaskRun, ...]
    rests_since: datetime | None  # when it ran last, if that is too long ago
    ahead: datetime | None  # when it ran last by a clock that is ahead of ours


def unrenewed(now: datetime) -> QuerySet[Certificate]:
    """Devices' certificates that end within SOON with no later one, of the MOST_LOOKED_AT that end first."""
    ending = Certificate.objects.filter(
        revocation.unrevoked(), device__isnull=False, not_after__gt=now, not_after__lte=now + SOON
    )
    later = Certificate.objects.filter(
        device=OuterRef("device"), not_after__gt=OuterRef("not_after"), revocation=None
    )
    first = ending.order_by("not_after").values("pk")[:MOST_LOOKED_AT]
    return Certificate.objects.filter(~Exists(later), pk__in=first).exclude(
        device__state=Device.State.RETIRED
    )


def number_unrenewed(now: datetime) -> str:
    """How many those are, as it is shown; empty if none."""
    number = unrenewed(now).order_by()[:MOST_LOOKED_AT].count()
    return (f"{number:,}" + ("+" if number == MOST_LOOKED_AT else "")) if number else ""


def campaigns() -> list[Campaign]:
    """Those that are at work, or were paused or stopped; a device is in one of them at most."""
    at_rest = (Campaign.State.DRAFT, *Campaign.ENDED)
    return list(
        Campaign.objects.exclude(state__in=at_rest).select_related("from_issuer", "to_issuer").order_by("-pk")
    )


def lost(now: datetime) -> int:
    """How many notices were lately given up, counted up to a hundred."""
    latest = Delivery.objects.filter(state=Delivery.State.GIVEN_UP).order_by("-pk")[:_MOST_LOST]
    return sum(at > now - LATELY for at in latest.values_list("created_at", flat=True))


def nobody_is_told() -> bool:
    """Whether notices go nowhere: mail is not set up, and there is no webhook."""
    return not mail.is_set_up() and not Webhook.objects.filter(enabled=True).exists()


def maintenance(now: datetime) -> Upkeep:
    """Whether periodic work is done."""
    runs = list(TaskRun.objects.order_by("name"))
    latest = max((run.at for run in runs if run.at <= now + _AHEAD), default=None)
    rests = latest is not None and latest < now - _LONGEST_REST
    # What others have been done since without is done no more, or not by workers.
    failed = [run for run in runs if run.failed and not (latest and run.at < latest - _LONGEST_REST)]
    ahead = max((run.at for run in runs if run.at > now + _AHEAD), default=None)
    return Upkeep(tuple(failed), latest if rests else None, ahead)
