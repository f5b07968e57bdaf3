"""Whether a campaign goes well: when it stops by itself, and when the canaries have shown enough."""

from datetime import datetime, timedelta

from django.db.models import QuerySet

from pki.core.errors import Refusal
from pki.models import Campaign, CampaignMember
from pki.services.rotating import drafting

State = CampaignMember.State
# Fewer failures never stop a campaign: one of two devices is not half of a fleet.
FEWEST_FAILURES = 3
_ASKED = (State.ASKED, State.RENEWED, State.MOVED, State.FAILED)


def trouble(campaign: Campaign, now: datetime) -> str | None:
    """Why a campaign must stop; none if it may go on."""
    if campaign.to_issuer is not None:
        try:
            drafting.require_fit_target(campaign.to_issuer, now)
        except Refusal as refusal:
            return refusal.detail
    failed = _failed(campaign).count()
    if failed >= FEWEST_FAILURES and not _within(campaign, failed):
        asked = _asked(campaign).count()
        limit = campaign.failures_percent
        return f"{failed:,} of {asked:,} devices that were asked failed; the limit is {limit} %."
    return None


def canaries_did_well(campaign: Campaign, now: datetime) -> bool:
    """Whether all may be asked: the canaries were watched long enough, one of them has moved at least, and
    no more failed than may.
    """
    if campaign.canaries_asked_at is None:
        return False
    if now < campaign.canaries_asked_at + timedelta(seconds=campaign.canary_seconds):
        return False
    return canary_has_moved(campaign) and _within(campaign, _failed(campaign).count())


def canary_has_moved(campaign: Campaign) -> bool:
    return CampaignMember.objects.filter(campaign=campaign, state=State.MOVED, canary=True).exists()


def _within(campaign: Campaign, failed: int) -> bool:
    return failed * 100 <= campaign.failures_percent * _asked(campaign).count()


def _failed(campaign: Campaign) -> QuerySet[CampaignMember]:
    failed = CampaignMember.objects.filter(campaign=campaign, state=State.FAILED)
    # Those of before a pause are asked again.
    return failed if campaign.resumed_at is None else failed.filter(failed_at__gt=campaign.resumed_at)


def _asked(campaign: Campaign) -> QuerySet[CampaignMember]:
    return CampaignMember.objects.filter(campaign=campaign, state__in=_ASKED)
