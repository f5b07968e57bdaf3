"""How far a campaign is, and who is behind."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, F, QuerySet

from pki.models import Campaign, CampaignMember

State = CampaignMember.State
# Who was asked and did not show itself since then; those whom a campaign waits for.
BEHIND = (State.ASKED, State.RENEWED, State.FAILED)


@dataclass(frozen=True)
class Progress:
    """Numbers of devices. `total` is all of them; `not_seen` are among `asked`."""

    total: int
    waiting: int
    asked: int
    not_seen: int  # asked, and not seen since they were
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
    counts = dict(members.order_by().values_list("state").annotate(Count("pk")))
    not_seen = _not_seen(members).count() if counts.get(State.ASKED) else 0
    return Progress(
        total=sum(counts.values()),
        waiting=counts.get(State.WAITING, 0),
        asked=counts.get(State.ASKED, 0),
        not_seen=not_seen,
        renewed=counts.get(State.RENEWED, 0),
        moved=counts.get(State.MOVED, 0),
        failed=counts.get(State.FAILED, 0),
        left=counts.get(State.LEFT, 0),
    )


def laggards(campaign: Campaign) -> QuerySet[CampaignMember]:
    """Who was asked and has not moved, the longest asked first; with the device and when it was last seen."""
    return (
        CampaignMember.objects.filter(campaign=campaign, state__in=BEHIND)
        .select_related("device__last_seen", "certificate")
        .order_by("state", "place")
    )


def ends_at(campaign: Campaign) -> datetime | None:
    """When the last member is asked, if nothing comes between; none unless it is open."""
    if campaign.state != Campaign.State.OPEN or campaign.window_from is None:
        return None
    return campaign.window_from + timedelta(seconds=campaign.window_seconds)


def _not_seen(members: QuerySet[CampaignMember]) -> QuerySet[CampaignMember]:
    asked = members.filter(state=State.ASKED)
    return asked.exclude(device__last_seen__at__gte=F("asked_at"))
