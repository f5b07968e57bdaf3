"""Asking members to renew, and taking it back: some at a time, each chunk in a transaction of its caller's.

A device is asked by a column that `proving.status` reads anyway: `Device.issuer`, or
`Device.rotation_requested_at`, which is then the member's `asked_at`.
"""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q, QuerySet

from pki.models import Campaign, CampaignMember, Device
from pki.services.issuing.dependence import able_to_sign
from pki.services.rotating import pace, renewable
from pki.services.rotating.holding import hold

State = CampaignMember.State

# Members that are changed in one transaction.
CHUNK = 1_000


def ask(campaign: Campaign, now: datetime) -> bool:
    """Ask members whose place has come; whether some may be left."""
    members = CampaignMember.objects.filter(campaign=campaign)
    due = members.filter(state=State.WAITING, place__lt=campaign.position).order_by("place")
    held = _held(due)
    as_canary = {"canary": True} if campaign.state == Campaign.State.CANARY else {}
    asked = members.filter(pk__in=[member.pk for member in held])
    asked.update(state=State.ASKED, asked_at=now, **as_canary)
    numbers = [member.device_id for member in held]
    leave_out(campaign, numbers, now)
    # Also those that have nothing to move: who enrolls again is given what the others are.
    _mark(numbers, campaign, now)
    return len(held) == CHUNK


def leave_out(campaign: Campaign, devices: Sequence[int], now: datetime) -> None:
    """Wait no longer for those of these devices (their numbers) that have nothing to move: they are retired,
    or cannot renew.
    """
    unable = set(devices) - renewable.able(devices, now)
    if not unable:
        return
    left = CampaignMember.objects.filter(campaign=campaign, device__in=unable).exclude(state=State.MOVED)
    retired = Device.objects.filter(pk__in=unable, state=Device.State.RETIRED)
    numbers = set(retired.values_list("pk", flat=True))
    left.filter(device__in=unable - numbers).update(state=State.UNABLE)
    left.filter(device__in=numbers).update(state=State.LEFT)


def take_back(campaign: Campaign, now: datetime) -> bool:
    """Let members that were asked and have not moved be as they were; whether some may be left.

    Those that failed stay on record as failed, and those that have a new certificate are to show it.
    """
    members = CampaignMember.objects.filter(campaign=campaign)
    unmoved = (State.ASKED, State.FAILED, State.UNABLE, State.LEFT)
    held = _held(members.filter(asked_at__isnull=False, state__in=unmoved))
    release(held, campaign, now)
    asked = members.filter(pk__in=[each.pk for each in held if each.state == State.ASKED])
    _spread(asked, campaign, campaign.resume_state)
    asked.update(state=State.WAITING)
    members.filter(pk__in=[each.pk for each in held]).update(asked_at=None)
    return len(held) == CHUNK


def try_again(campaign: Campaign) -> bool:
    """Have members that failed before the campaign went on wait for their turn; whether some may be left."""
    if campaign.resumed_at is None:
        return False
    failed = CampaignMember.objects.filter(
        campaign=campaign, state=State.FAILED, failed_at__lte=campaign.resumed_at
    )
    numbers = [each.pk for each in _held(failed)]
    again = CampaignMember.objects.filter(pk__in=numbers)
    _spread(again, campaign, campaign.state)
    again.update(state=State.WAITING, asked_at=None, failed_at=None, code="", reason="")
    return len(numbers) == CHUNK


def release(members: Sequence[CampaignMember], campaign: Campaign, now: datetime) -> None:
    """Let the devices of members that were asked be as if they had not been."""
    if campaign.kind == Campaign.Kind.ISSUER:
        _give_back(members, campaign, now)
        return
    hold(Device.objects.filter(pk__in=[member.device_id for member in members]))
    asked: dict[datetime, list[int]] = {}
    for member in members:
        if member.asked_at is not None:
            asked.setdefault(member.asked_at, []).append(member.device_id)
    for moment, numbers in asked.items():
        # Not what a person asked for since then.
        rotating = Device.objects.filter(pk__in=numbers, rotation_requested_at=moment)
        rotating.update(rotation_requested_at=None)


def able_issuers(now: datetime) -> set[int]:
    """The numbers of the issuers that can sign what is not refused."""
    return set(able_to_sign(now).values_list("pk", flat=True))


def _give_back(members: Sequence[CampaignMember], campaign: Campaign, now: datetime) -> None:
    """Have devices signed for by who did before; by their profile's issuer if that is the same, or if the
    one of before cannot sign any more.
    """
    able = able_issuers(now)
    olds = {member.device_id: member.old_issuer_id for member in members}
    devices = Device.objects.filter(pk__in=olds, issuer=campaign.to_issuer)
    hold(devices)
    groups: dict[int | None, list[int]] = {}
    for number, usual in devices.values_list("pk", "profile__issuer_id"):
        old = olds[number]
        groups.setdefault(old if old in able and old != usual else None, []).append(number)
    for issuer, numbers in groups.items():
        Device.objects.filter(pk__in=numbers).update(issuer=issuer)


def _spread(members: QuerySet[CampaignMember], campaign: Campaign, state: str) -> None:
    """Spread who is asked a second time over what is left of the window; canaries are asked at once."""
    if state == Campaign.State.OPEN and 0 < campaign.position < pace.END:
        passed = members.filter(place__lt=campaign.position)
        passed.update(place=pace.later_place(campaign.position))


def _mark(devices: Sequence[int], campaign: Campaign, now: datetime) -> None:
    chosen = Device.objects.filter(pk__in=devices)
    hold(chosen)
    if campaign.kind == Campaign.Kind.ISSUER:
        chosen.update(issuer=campaign.to_issuer)
        return
    earlier = Q(rotation_requested_at=None) | Q(rotation_requested_at__lt=now)
    chosen.filter(earlier).update(rotation_requested_at=now)


def _held(members: QuerySet[CampaignMember]) -> list[CampaignMember]:
    """The first CHUNK of members as they are now; nobody else changes them until the transaction ends."""
    numbers = list(members.values_list("pk", flat=True)[:CHUNK])
    # Asked again: one may have moved in the meantime.
    return list(members.filter(pk__in=numbers).order_by("pk").select_for_update(no_key=True))
