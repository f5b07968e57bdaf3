"""How far a campaign is, and who is behind."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet

from pki.models import Campaign, CampaignMember, Certificate
from pki.services.revoking import revocation

State = CampaignMember.State
# So many are looked at for not having been seen; they are as good as drawn by lot, for places are a hash's.
SAMPLE = 10_000
# Those whom a campaign waits for, the worst first.
BEHIND = (State.FAILED, State.RENEWED, State.ASKED)
# Campaigns in these states move devices back, or have.
BACK = (Campaign.State.ROLLING_BACK, Campaign.State.ROLLED_BACK)


@dataclass(frozen=True)
class Progress:
    """Numbers of devices. `total` is all of them; `not_seen` are among `asked`.

    Of a campaign that is rolled back they say how far it is with that: `moved` is moved back. While it turns
    its devices round they are not known yet, and 0.
    """

    total: int
    waiting: int
    asked: int
    not_seen: int  # asked, and not seen since they were; an estimate if more than SAMPLE are asked
    renewed: int  # issued, and not shown yet
    moved: int
    failed: int
    unable: int  # must enroll again
    left: int
    is_back: bool = False  # whether it is rolling back, or was
    is_turning: bool = False  # whether it has not turned all its devices round yet

    @property
    def able(self) -> int:
        """How many have something to move, or had: all but those left out."""
        return self.total - self.left

    @property
    def word(self) -> str:
        """What `moved` means."""
        return "moved back" if self.is_back else "moved"

    @property
    def behind(self) -> int:
        return self.asked + self.renewed + self.failed

    @property
    def percent(self) -> int:
        """How many of 100 have moved, of those that are `able`; 100 only when it is all of them."""
        return self.moved * 100 // self.able if self.able else 100


def of(campaign: Campaign, now: datetime) -> Progress:
    """How far `campaign` is, with two queries over its members' index."""
    members = CampaignMember.objects.filter(campaign=campaign)
    turning = is_turning(campaign)
    number = dict.fromkeys(map(str, State), 0) if turning else counts(campaign)
    return Progress(
        total=sum(number.values()),
        not_seen=_not_seen(members, number["asked"]),
        is_back=campaign.state in BACK,
        is_turning=turning,
        **number,
    )


def is_turning(campaign: Campaign) -> bool:
    """Whether some of its devices are said to be as they were before it was rolled back; for some minutes."""
    return campaign.state == Campaign.State.ROLLING_BACK and campaign.gathered_up_to is not None


def counts(campaign: Campaign) -> dict[str, int]:
    """How many members are in each state, by its name."""
    members = CampaignMember.objects.filter(campaign=campaign).order_by()
    found = dict(members.values("state").annotate(number=Count("*")).values_list("state", "number"))
    return {str(state): found.get(state, 0) for state in State}


def laggards(campaign: Campaign, most: int) -> list[CampaignMember]:
    """The first `most` of those who were asked and have not moved: who failed before who has not shown the
    new certificate, and those before who is asked still. Nobody while devices are turned round.

    Each with its device, and when that was last seen. One query for each state, which reads no more of the
    index than it needs, and one for what is shown of them.
    """
    numbers: list[int] = []
    for state in () if is_turning(campaign) else BEHIND:
        found = CampaignMember.objects.filter(campaign=campaign, state=state).order_by("place")
        numbers += found.values_list("pk", flat=True)[: most - len(numbers)]
    rows = CampaignMember.objects.select_related("device__last_seen").in_bulk(numbers)
    return [rows[number] for number in numbers if number in rows]


def came_meanwhile(campaign: Campaign, now: datetime) -> int:
    """How many devices got certificates of the new issuer because `campaign` gave it to their profiles, and
    are not led: they enrolled after it had gathered its devices.
    """
    if not campaign.switched_profiles:
        return 0
    new = Certificate.objects.filter(
        revocation.unrevoked(),
        device__profile__in=campaign.switched_profiles,
        issuer=campaign.to_issuer,
        issued_at__gte=campaign.opened_at,
        not_after__gte=now,
    )
    led = CampaignMember.objects.filter(Q(campaign=campaign) | Q(living=True), device=OuterRef("device"))
    return new.filter(~Exists(led)).order_by().values("device").distinct().count()


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
