"""Gathering a campaign's members: a stretch of the devices at a time, by their numbers.

A device that joins a group, or gets a label, after that is not led; one that leaves it is led still.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db.models import Max, OuterRef, QuerySet, Subquery

from pki.models import Campaign, CampaignMember, Certificate, Device
from pki.services.revoking import revocation
from pki.services.rotating import pace, selection

# Devices that are looked at in one transaction.
STRETCH = 2_000


def gather(campaign: Campaign, now: datetime) -> bool:
    """Take in the next stretch, inside the caller's transaction; whether devices are left to look at.

    Those that another campaign leads are counted, and left out.
    """
    if campaign.gathered_up_to is None:
        return False
    last = Device.objects.aggregate(Max("pk"))["pk__max"] or 0
    until = campaign.gathered_up_to + STRETCH
    stretch = selection.matching(selection.of(campaign), now).filter(
        pk__gt=campaign.gathered_up_to, pk__lte=until
    )
    unknown = stretch.exclude(campaigns__campaign=campaign)
    free = unknown.filter(~selection.led_elsewhere())
    elsewhere = unknown.filter(selection.led_elsewhere()).count()
    CampaignMember.objects.bulk_create(
        _members(campaign, _rows(campaign, free, now)),
        # Two campaigns that are gathered at once: the database lets one of them have a device.
        ignore_conflicts=True,
    )
    campaign.elsewhere += elsewhere
    campaign.gathered_up_to = until if until < last else None
    campaign.save(update_fields=["elsewhere", "gathered_up_to"])
    if campaign.gathered_up_to is None:
        _name_a_canary(campaign)
    return campaign.gathered_up_to is not None


def _rows(
    campaign: Campaign, devices: QuerySet[Device], now: datetime
) -> Iterable[tuple[int, str, int | None]]:
    """Devices with who signed the certificate that they are to leave."""
    named = devices.order_by("pk").values_list("pk", "name")
    if campaign.kind == Campaign.Kind.KEY:
        return ((number, name, None) for number, name in named)
    # Its old certificate lives still, but it has moved already.
    named = named.exclude(last_seen__certificate__issuer=campaign.to_issuer_id)
    if campaign.from_issuer_id is not None:
        return ((number, name, campaign.from_issuer_id) for number, name in named)
    living = Certificate.objects.filter(revocation.unrevoked(), device=OuterRef("pk"), not_after__gte=now)
    newest = living.order_by("-issued_at", "-pk").values("issuer_id")[:1]
    return named.annotate(old=Subquery(newest)).exclude(old=campaign.to_issuer_id)


def _members(campaign: Campaign, rows: Iterable[Any]) -> list[CampaignMember]:
    members = []
    canaries_end = pace.canaries_end(campaign) if campaign.state == Campaign.State.CANARY else 0
    for number, name, old_issuer in rows:
        place = pace.place(campaign, name)
        members.append(
            CampaignMember(
                campaign=campaign,
                device_id=number,
                place=place,
                canary=place < canaries_end,
                old_issuer_id=old_issuer,
            )
        )
    return members


def _name_a_canary(campaign: Campaign) -> None:
    """Of few devices none may be a canary by its place: then the first is."""
    if campaign.state != Campaign.State.CANARY:
        return
    first = CampaignMember.objects.filter(campaign=campaign, state=CampaignMember.State.WAITING)
    member = first.order_by("place").first()
    if member is not None and member.place >= campaign.position:
        CampaignMember.objects.filter(pk=member.pk).update(canary=True)
        campaign.position = member.place + 1
        campaign.save(update_fields=["position"])
