"""What a campaign finds out by looking, because nobody tells it."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import OuterRef, Subquery

from pki.models import Campaign, CampaignMember, Certificate
from pki.services.rotating import asking, members, renewable, shown

log = logging.getLogger("hatchery.campaigns")

State = CampaignMember.State
# A step that comes so much later than the one before may have a wrong clock: in an hour nothing is lost.
LONGEST_REST = timedelta(hours=1)
# Certificates that were issued in transactions which had not ended at the last look.
_SETTLED = timedelta(seconds=60)
# Members that one step looks at for having nothing to move.
SWEPT = 1_000


def believes(campaign: Campaign, now: datetime) -> bool:
    """Whether a step may act at `now`, inside the caller's transaction.

    A clock that has jumped into the future would see certificates ended, and times to watch over. So a step
    that comes long after the one before only notes its time, and the next one acts if it is no earlier.
    """
    is_late = campaign.stepped_at is not None and now - campaign.stepped_at > LONGEST_REST
    agrees = campaign.doubted_at is not None and campaign.doubted_at <= now
    doubted = now if is_late and not agrees else None
    if doubted != campaign.doubted_at:
        campaign.doubted_at = doubted
        campaign.save(update_fields=["doubted_at"])
    if doubted:
        log.warning(
            "The campaign %s rested for %s; is the clock right? It goes on with the next step.",
            campaign,
            now - (campaign.stepped_at or now),
        )
    return doubted is None


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

    Who is retired, or cannot renew, has nothing to move; who enrolled again meanwhile waits to be asked. Who
    showed what it was asked for has moved, even if the worker that saw it could not say so.
    """
    all_after = CampaignMember.objects.filter(campaign=campaign, device__gt=campaign.swept_up_to)
    chunk = list(all_after.order_by("device").values_list("device", "state")[:SWEPT])
    behind = [device for device, state in chunk if state in (State.ASKED, State.RENEWED, State.FAILED)]
    members.seen(list(shown.last_by(behind, now)))
    asking.leave_out(campaign, behind, now)
    if campaign.state == Campaign.State.OPEN:
        _take_in([device for device, state in chunk if state == State.UNABLE], campaign, now)
    campaign.swept_up_to = chunk[-1][0] if len(chunk) == SWEPT else 0
    campaign.save(update_fields=["swept_up_to", "stepped_at"])


def waits(campaign: Campaign) -> bool:
    """Whether there is a member that has something to move, and has not."""
    waited_for = (State.WAITING, State.ASKED, State.RENEWED, State.FAILED)
    return CampaignMember.objects.filter(campaign=campaign, state__in=waited_for).exists()


def _take_in(devices: Sequence[int], campaign: Campaign, now: datetime) -> None:
    """Have those wait for their turn that could not renew, and can."""
    again = renewable.able(devices, now) if devices else ()
    back = CampaignMember.objects.filter(campaign=campaign, device__in=again, state=State.UNABLE)
    back.update(state=State.WAITING, asked_at=None)


def _is_asked_for(campaign: Campaign, member: CampaignMember, issued: Certificate) -> bool:
    is_later = member.asked_at is not None and issued.issued_at > member.asked_at
    if campaign.state == Campaign.State.ROLLING_BACK:
        return is_later and issued.issuer_id == member.old_issuer_id
    # Whether its key is new is seen when it is shown; here the CA has refused another one already.
    return is_later if campaign.to_issuer_id is None else issued.issuer_id == campaign.to_issuer_id
