"""Gathering a campaign's members: a stretch of the devices at a time, by their numbers.

Everybody for whom the conditions hold is a member: who has moved before counts as moved, and who cannot
renew as unable. A device that joins a group, or gets a label, after that is not led; one that leaves it is
led still.
"""

from collections.abc import Iterator
from datetime import datetime

from django.db.models import BigIntegerField, OuterRef, QuerySet, Subquery, Value

from pki.models import Campaign, CampaignMember, Certificate, Device, LastSeen
from pki.services.rotating import members, pace, renewable, selection, shown

State = CampaignMember.State
# Devices that are looked at in one transaction.
STRETCH = 2_000


def gather(campaign: Campaign, now: datetime) -> bool:
    """Take in the next stretch, inside the caller's transaction; whether devices are left to look at.

    Those that another campaign leads are counted, and left out.
    """
    if campaign.gathered_up_to is None:
        return False
    later = Device.objects.filter(pk__gt=campaign.gathered_up_to).order_by("pk").values_list("pk", flat=True)
    until = next(iter(later[STRETCH - 1 : STRETCH]), None)
    # The last stretch has no end: who enrolls at this moment may be in it.
    within = {"pk__gt": campaign.gathered_up_to} | ({"pk__lte": until} if until else {})
    chosen = selection.of(campaign)
    able, unable = (
        found.filter(**within).exclude(campaigns__campaign=campaign)
        for found in (selection.matching(chosen, now), selection.unable(chosen, now))
    )
    elsewhere = sum(found.filter(selection.led_elsewhere()).count() for found in (able, unable))
    free = ~selection.led_elsewhere()
    gathered = [*_able(campaign, able.filter(free), now), *_unable(campaign, unable.filter(free))]
    CampaignMember.objects.bulk_create(
        gathered,
        # Two campaigns that are gathered at once: the database lets one of them have a device.
        ignore_conflicts=True,
    )
    members.keep_moved(member for member in gathered if member.state == State.MOVED)
    campaign.elsewhere += elsewhere
    campaign.gathered_up_to = until
    campaign.save(update_fields=["elsewhere", "gathered_up_to"])
    if campaign.gathered_up_to is None:
        _place_canaries(campaign)
    return campaign.gathered_up_to is not None


def _able(campaign: Campaign, devices: QuerySet[Device], now: datetime) -> Iterator[CampaignMember]:
    """Devices that can renew, each with who signed the certificate that it is to leave; or as moved."""
    rows = list(_with_issuer(campaign, devices, renewable.living(now)))
    showed = _last_showed(campaign, [number for number, _, _ in rows], now)
    for number, name, old in rows:
        member = _member(campaign, number, name, old)
        seen = showed.get(number)
        # Who has certificates of the new issuer alone can show nothing else.
        if seen is not None or (campaign.kind == Campaign.Kind.ISSUER and old is None):
            member.state, member.old_issuer_id = State.MOVED, campaign.to_issuer_id
            member.moved_at = seen.at if seen else now
            member.certificate_id = seen.certificate_id if seen else None
        yield member


def _unable(campaign: Campaign, devices: QuerySet[Device]) -> Iterator[CampaignMember]:
    for number, name, old in _with_issuer(campaign, devices, Certificate.objects.all()):
        member = _member(campaign, number, name, old)
        member.state = State.UNABLE
        yield member


def _with_issuer(
    campaign: Campaign, devices: QuerySet[Device], certificates: QuerySet[Certificate]
) -> QuerySet[Device, tuple[int, str, int | None]]:
    """The numbers and names of devices, with who signed the newest of these certificates that is not of the
    new issuer; none if keys alone are rotated.
    """
    if campaign.kind == Campaign.Kind.KEY:
        old: Value | Subquery = Value(None, BigIntegerField())
    elif campaign.from_issuer_id is not None:
        old = Value(campaign.from_issuer_id, BigIntegerField())
    else:
        others = certificates.filter(device=OuterRef("pk")).exclude(issuer=campaign.to_issuer_id)
        old = Subquery(others.order_by("-issued_at", "-pk").values("issuer_id")[:1])
    return devices.order_by("pk").annotate(old=old).values_list("pk", "name", "old")


def _last_showed(campaign: Campaign, devices: list[int], now: datetime) -> dict[int, LastSeen]:
    """What those devices showed last that have moved already."""
    if campaign.kind == Campaign.Kind.KEY:
        return {}
    last = shown.last_by(devices, now).filter(certificate__issuer=campaign.to_issuer_id)
    return {each.device_id: each for each in last}


def _member(campaign: Campaign, number: int, name: str, old_issuer: int | None) -> CampaignMember:
    return CampaignMember(
        campaign=campaign, device_id=number, place=pace.place(campaign, name), old_issuer_id=old_issuer
    )


def _place_canaries(campaign: Campaign) -> None:
    """Have the canaries' places end where the share that was said lies below, of those that are to move.

    Two devices of a million may have the same place, the last one's: then both are canaries.
    """
    if campaign.state != Campaign.State.CANARY:
        return
    waiting = CampaignMember.objects.filter(campaign=campaign, state=State.WAITING).order_by("place")
    if not (number := waiting.count()):
        return
    last = pace.canaries(number, campaign.canary_percent) - 1
    campaign.canaries_below = waiting.values_list("place", flat=True)[last] + 1
    campaign.position = campaign.canaries_below
    campaign.save(update_fields=["canaries_below", "position"])
