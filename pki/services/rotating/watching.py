"""What a campaign finds out by looking, because nobody tells it."""

from datetime import datetime, timedelta

from django.db.models import OuterRef, Subquery

from pki.models import Campaign, CampaignMember, Certificate, LastSeen
from pki.services.rotating import asking, members

State = CampaignMember.State
# Certificates that were issued in transactions which had not ended at the last look.
_SETTLED = timedelta(seconds=60)
# Members that one step looks at for having nothing to move.
SWEPT = 1_000


def note_renewed(campaign: Campaign, since: datetime | None, now: datetime) -> datetime | None:
    """Note which of those asked were issued a certificate since the last step, inside the caller's
    transaction: of those issued after `since` (or the last step) the first some. When the last of these was
    issued; none if there are no more.
    """
    if since is None:
        since = (campaign.stepped_at or now) - _SETTLED
    issued = Certificate.objects.filter(issued_at__gt=since, device__isnull=False)
    # By their moment, for which there is an index: by their numbers PostgreSQL would begin with the oldest.
    chunk = list(issued.order_by("issued_at").defer("der")[: asking.CHUNK])
    newest = {each.device_id: each for each in chunk}
    asked = CampaignMember.objects.filter(campaign=campaign, state=State.ASKED, device__in=newest)
    renewed = [
        member
        for member in asked.order_by("pk").select_for_update(no_key=True)
        if _is_asked_for(campaign, member, newest[member.device_id])
    ]
    given = Certificate.objects.filter(
        pk__in=[newest[member.device_id].pk for member in renewed], device=OuterRef("device")
    )
    CampaignMember.objects.filter(pk__in=[member.pk for member in renewed]).update(
        state=State.RENEWED, certificate=Subquery(given.values("pk")[:1])
    )
    return chunk[-1].issued_at if len(chunk) == asking.CHUNK else None


def sweep(campaign: Campaign, now: datetime) -> None:
    """Look at the next members that the campaign waits for, inside the caller's transaction.

    Who is retired, or whose certificates have all ended, has nothing to move. Who showed what it was asked
    for has moved, even if the worker that saw it could not say so.
    """
    all_after = CampaignMember.objects.filter(campaign=campaign, device__gt=campaign.swept_up_to)
    chunk = list(all_after.order_by("device").values_list("device", "state")[:SWEPT])
    behind = [device for device, state in chunk if state in (State.ASKED, State.RENEWED, State.FAILED)]
    members.seen(list(LastSeen.objects.filter(device__in=behind)))
    gone = asking.unable(behind, now) if behind else set()
    left = CampaignMember.objects.filter(campaign=campaign, device__in=gone)
    left.exclude(state=State.MOVED).update(state=State.LEFT)
    campaign.swept_up_to = chunk[-1][0] if len(chunk) == SWEPT else 0
    campaign.save(update_fields=["swept_up_to", "stepped_at"])


def waits(campaign: Campaign) -> bool:
    """Whether there is a member that has something to move, and has not."""
    waited_for = (State.WAITING, State.ASKED, State.RENEWED, State.FAILED)
    return CampaignMember.objects.filter(campaign=campaign, state__in=waited_for).exists()


def _is_asked_for(campaign: Campaign, member: CampaignMember, issued: Certificate) -> bool:
    is_later = member.asked_at is not None and issued.issued_at > member.asked_at
    if campaign.state == Campaign.State.ROLLING_BACK:
        return is_later and issued.issuer_id == member.old_issuer_id
    # Whether its key is new is seen when it is shown; here the CA has refused another one already.
    return is_later if campaign.to_issuer_id is None else issued.issuer_id == campaign.to_issuer_id
