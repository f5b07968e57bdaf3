"""After a campaign has ended: its devices are free for another one, and follow their profiles again."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import F

from pki.models import Campaign, CampaignMember, Device
from pki.services.rotating import asking

State = CampaignMember.State


def let_go(campaign: Campaign, now: datetime) -> bool:
    """Let the next members go, inside the caller's transaction; whether some are left.

    Laggards of a campaign that was finished are asked still, whenever they come back.
    """
    if campaign.gathered_up_to is None:
        return False
    members = CampaignMember.objects.filter(campaign=campaign, device__gt=campaign.gathered_up_to)
    chunk = list(members.order_by("device")[: asking.CHUNK])
    if campaign.state == Campaign.State.CANCELLED:
        asking.release([each for each in chunk if each.state != State.MOVED], campaign, now)
    arrived = [each for each in chunk if each.state not in (State.ASKED, State.RENEWED, State.FAILED)]
    _follow_profiles([each.device_id for each in arrived])
    CampaignMember.objects.filter(pk__in=[each.pk for each in chunk]).update(living=False)
    campaign.gathered_up_to = chunk[-1].device_id if len(chunk) == asking.CHUNK else None
    campaign.save(update_fields=["gathered_up_to"])
    return campaign.gathered_up_to is not None


def _follow_profiles(devices: Sequence[int]) -> None:
    """Drop overrides that say what the profile says."""
    overridden = Device.objects.filter(pk__in=devices, issuer__isnull=False)
    same = overridden.filter(issuer=F("profile__issuer"))
    Device.objects.filter(pk__in=list(same.values_list("pk", flat=True))).update(issuer=None)
