"""How far a campaign is, and who is behind."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, F, QuerySet

from pki.models import Campaign, CampaignMember

State = CampaignMember.State
# So many are looked at for not having been seen; they are as good as drawn by lot, for places are a hash's.
SAMPLE = 10_000
# Those whom a campaign waits for.
BEHIND = (State.ASKED, State.RENEWED, State.FAILED)


@dataclass(frozen=True)
class Progress:
    """Numbers of devices. `total` is all of them; `not_seen` are among `asked`."""

    total: int
    waiting: int
    asked: int
    not_seen: int  # asked, and not seen since they were; an estimate if more than SAMPLE are asked
    renewed: int  # issued, and not shown yet
    moved: int
    failed: int
    left: int

    @property
    def behind(self) -> int:
        return self.asked + self.renewed + self.failed

    @property
    def percent(self) -> int:
        """How many of 100 have moved, of those that can; 100 only when it is all of them."""
        able = self.total - self.left
        return self.moved * 100 // able if able else 100


def of(campaign: Campaign, now: datetime) -> Progress:
    """How far `campaign` is, with two queries over its members' index."""
    members = CampaignMember.objects.filter(campaign=campaign)
    number = counts(campaign)
    return Progress(
        total=sum(number.values()),
        not_seen=_not_seen(members, number["asked"]),
        **number,
    )


def counts(campaign: Campaign) -> dict[str, int]:
    """How many members are in each state, by its name."""
    members = CampaignMember.objects.filter(campaign=campaign).order_by()
    found = dict(members.values("state").annotate(number=Count("*")).values_list("state", "number"))
    return {str(state): found.get(state, 0) for state in State}


def laggards(campaign: Campaign) -> QuerySet[CampaignMember]:
    """Who was asked and has not moved: those that failed before those that are asked still.

    Each with its device, and when that was last seen.
    """
    return (
        CampaignMember.objects.filter(campaign=campaign, state__in=BEHIND)
        .select_related("device__last_seen", "certificate")
        .order_by("-state", "place")
    )


def ends_at(campaign: Campaign) -> datetime | None:
    """When the last member is asked, if nothing comes between; none unless it is open."""
    if campaign.state != Campaign.State.OPEN or campaign.window_from is None:
        return None
    return campaign.window_from + timedelta(seconds=campaign.window_seconds)


def _not_seen(members: QuerySet[CampaignMember], asked: int) -> int:
    sample = members.filter(state=State.ASKED).order_by("place").values("pk")[:SAMPLE]
    seen = CampaignMember.objects.filter(pk__in=sample, device__last_seen__at__gte=F("asked_at")).count()
    looked_at = min(asked, SAMPLE)
    return asked - seen * asked // looked_at if asked else 0
