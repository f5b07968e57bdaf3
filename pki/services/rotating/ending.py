"""After a campaign has ended: its devices are free for another one, and follow their profiles again."""

from datetime import datetime

from pki.models import Campaign, CampaignMember, Profile
from pki.services.rotating import asking, overrides, progress

State = CampaignMember.State


def let_go(campaign: Campaign, now: datetime) -> bool:
    """Let the next members go, inside the caller's transaction; whether some are left.

    Laggards of a campaign that was finished are asked still, whenever they come back, unless nobody was asked
    any more when it was.
    """
    if campaign.gathered_up_to is None:
        return False
    # Not who left it since: another campaign may lead them.
    living = CampaignMember.objects.filter(campaign=campaign, living=True)
    members = living.filter(device__gt=campaign.gathered_up_to)
    chunk = list(members.order_by("device")[: asking.CHUNK])
    if campaign.state == Campaign.State.CANCELLED:
        asking.release([each for each in chunk if each.state != State.MOVED], campaign, now)
    elif campaign.resume_state:
        # It was paused, or had stopped, and may have been finished before `asking.take_back` came by.
        asking.release([each for each in chunk if each.state in (State.ASKED, State.FAILED)], campaign, now)
    arrived = [each for each in chunk if each.state not in progress.BEHIND]
    overrides.drop_useless([each.device_id for each in arrived], asking.able_issuers(now))
    overrides.drop_overtaken([each.device_id for each in chunk], campaign, _given_a_third(campaign))
    CampaignMember.objects.filter(pk__in=[each.pk for each in chunk]).update(living=False)
    campaign.gathered_up_to = chunk[-1].device_id if len(chunk) == asking.CHUNK else None
    campaign.save(update_fields=["gathered_up_to"])
    return campaign.gathered_up_to is not None


def _given_a_third(campaign: Campaign) -> list[int]:
    """The profiles that it gave the new issuer, and somebody gave another one since."""
    left_with = {campaign.to_issuer_id}
    if campaign.state != Campaign.State.FINISHED:
        left_with.add(campaign.from_issuer_id)  # they were given back
    switched = Profile.objects.filter(pk__in=campaign.switched_profiles)
    return list(switched.exclude(issuer__in=left_with).values_list("pk", flat=True))
