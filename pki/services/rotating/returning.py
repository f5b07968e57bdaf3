"""Rolling a campaign back: who has a certificate of the new issuer is asked to come back to the old one."""

from datetime import datetime

from pki.models import Campaign, CampaignMember, Certificate, Device
from pki.services.revoking import revocation
from pki.services.rotating import asking
from pki.services.rotating.holding import hold

State = CampaignMember.State
_CANNOT_SIGN = "Its old issuer cannot sign any more."


def turn_round(campaign: Campaign, now: datetime) -> bool:
    """Ask the next members to come back, inside the caller's transaction; whether some are left.

    Those without a certificate of the new issuer have nothing to move. All are signed for by their old issuer
    from now on: one may get a certificate of the new one at this very moment.
    """
    if campaign.gathered_up_to is None:
        return False
    living = CampaignMember.objects.filter(campaign=campaign, living=True)
    members = living.filter(device__gt=campaign.gathered_up_to)
    chunk = list(members.order_by("device")[: asking.CHUNK])
    held = CampaignMember.objects.filter(pk__in=[member.pk for member in chunk]).order_by("pk")
    rows = list(held.select_for_update(no_key=True))
    moved = _with_new(campaign, [member.device_id for member in rows], now)
    able = asking.able_issuers(now)
    stuck = [member.pk for member in rows if member.old_issuer_id not in able]
    # Not who had moved before the campaign.
    came = [each for each in rows if each.device_id in moved and each.old_issuer_id != campaign.to_issuer_id]
    back = [member.pk for member in came if member.pk not in set(stuck)]
    held.update(
        state=State.LEFT,
        **dict.fromkeys(("asked_at", "moved_at", "failed_at", "certificate")),
        **dict.fromkeys(("code", "reason"), ""),
    )
    held.filter(pk__in=back).update(state=State.ASKED, asked_at=now)
    held.filter(pk__in=stuck).update(reason=_CANNOT_SIGN)
    _sign_with_old(rows, able)
    campaign.gathered_up_to = chunk[-1].device_id if len(chunk) == asking.CHUNK else None
    campaign.save(update_fields=["gathered_up_to"])
    return campaign.gathered_up_to is not None


def _with_new(campaign: Campaign, devices: list[int], now: datetime) -> set[int]:
    new = Certificate.objects.filter(
        revocation.unrevoked(), device__in=devices, issuer=campaign.to_issuer, not_after__gte=now
    )
    return {number for number in new.values_list("device", flat=True) if number is not None}


def _sign_with_old(members: list[CampaignMember], able: set[int]) -> None:
    groups: dict[int, list[int]] = {}
    for member in members:
        if member.old_issuer_id in able and member.old_issuer_id is not None:
            groups.setdefault(member.old_issuer_id, []).append(member.device_id)
    hold(Device.objects.filter(pk__in=[number for numbers in groups.values() for number in numbers]))
    for issuer, numbers in groups.items():
        Device.objects.filter(pk__in=numbers).update(issuer=issuer)
