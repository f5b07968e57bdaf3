"""What members of campaigns do, seen from outside: they show certificates, and are refused.

A member has moved once it *showed* what it was asked for. To have been issued it is not enough: the answer
may be lost, or the device may not be able to use it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from django.db.models import OuterRef, QuerySet, Subquery

from pki.models import Campaign, CampaignMember, Certificate, Device
from pki.services.rotating.holding import hold
from pki.services.rotating.shown import Showing, Shown, by_device
from pki.services.transactions import writing

State = CampaignMember.State

# A device that has its new certificate for so long and still shows the one before cannot use the new one.
PATIENCE = timedelta(minutes=10)
NOT_USED = "new_certificate_not_used"
_NOT_USED = (
    "It was given a new certificate and shows the one before still, "
    f"{int(PATIENCE.total_seconds() // 60)} minutes later."
)
# Refusals that say nothing about the move: somebody took the device out of service.
NO_FAILURES = frozenset({"device_inactive", "device_suspended", "device_retired"})


def seen(sightings: Sequence[Showing]) -> None:
    """Note who of a batch (500 at most) has moved, or shows that it cannot use what it was given.

    One query if no member that has not moved is among them; some more, however many they are, if so.
    """
    numbers = {each.device_id for each in sightings}
    led = _unmoved().filter(device__in=numbers).order_by()
    if not (members := list(led.values_list("pk", "device_id"))):
        return
    devices = {device for _, device in members}
    shown = by_device(each for each in sightings if each.device_id in devices)
    with writing():
        # In one order, here and where they are asked: no deadlock.
        held = _unmoved().filter(pk__in=[number for number, _ in members]).order_by("pk")
        outcomes: dict[str, dict[int, CampaignMember]] = {}
        rows = held.select_related("campaign", "certificate").defer("certificate__der")
        for member in rows.select_for_update(of=("self",)):
            for each in shown[member.device_id]:
                if outcome := _outcome(member, each):
                    outcomes.setdefault(outcome, {})[each.pk] = member
        _store(outcomes, max(each.at for each in sightings))


def failed(device: Device | int, code: str, reason: str, now: datetime) -> None:
    """Note that a device (or its number) was refused a renewal; if no campaign asked for it, nothing."""
    if code in NO_FAILURES:
        return
    asked = CampaignMember.objects.filter(
        device=device, living=True, state__in=(State.ASKED, State.RENEWED, State.FAILED)
    )
    with writing():
        asked.update(state=State.FAILED, failed_at=now, code=code[:64], reason=reason[:500])


def _unmoved() -> QuerySet[CampaignMember]:
    return CampaignMember.objects.filter(living=True).exclude(state=State.MOVED)


def _outcome(member: CampaignMember, shown: Shown) -> str | None:
    """What a member has become by what its device showed; none if it stays what it is."""
    if _is_asked_for(member, shown):
        return State.MOVED
    if _cannot_use(member, shown):
        return State.FAILED
    return State.ASKED if _is_to_come_back(member, shown) else None


def _store(outcomes: Mapping[str, Mapping[int, CampaignMember]], at: datetime) -> None:
    """Keep what members have become, by the certificates that they showed; to have moved is more than all."""
    moved, failed, asked = (outcomes.get(each, {}) for each in (State.MOVED, State.FAILED, State.ASKED))
    _members(asked).update(state=State.ASKED, asked_at=at)
    _members(failed).update(state=State.FAILED, failed_at=at, code=NOT_USED, reason=_NOT_USED)
    if moved:
        new = Certificate.objects.filter(pk__in=moved, device=OuterRef("device")).order_by("-pk")
        newest = Subquery(new.values("pk")[:1])
        _members(moved).update(state=State.MOVED, moved_at=at, certificate=newest)
        keep_moved(moved.values())


def _members(by_certificate: Mapping[int, CampaignMember]) -> QuerySet[CampaignMember]:
    return CampaignMember.objects.filter(pk__in={member.pk for member in by_certificate.values()})


def _is_asked_for(member: CampaignMember, shown: Shown) -> bool:
    campaign = member.campaign
    if campaign.state == Campaign.State.ROLLING_BACK:
        # Those that were left out show the old one all along.
        has_come = shown.issuer_id == member.old_issuer_id and shown.at >= (member.asked_at or shown.at)
        return has_come and member.state != State.LEFT
    if campaign.kind == Campaign.Kind.ISSUER:
        return shown.issuer_id == campaign.to_issuer_id
    since = member.asked_at or campaign.started_at
    return since is not None and shown.key_since > since


def _cannot_use(member: CampaignMember, shown: Shown) -> bool:
    new = member.certificate
    return (
        member.state == State.RENEWED
        and new is not None
        and shown.pk != new.pk
        and shown.at >= new.issued_at + PATIENCE
    )


def _is_to_come_back(member: CampaignMember, shown: Shown) -> bool:
    """Whether it got its new certificate at the very moment when the campaign was rolled back."""
    campaign = member.campaign
    return (
        campaign.state == Campaign.State.ROLLING_BACK
        and member.state == State.LEFT
        and shown.issuer_id == campaign.to_issuer_id != member.old_issuer_id
        and not member.reason  # for which it was left out
    )


def keep_moved(members: Iterable[CampaignMember]) -> None:
    """Let who moved before it was asked, or after a pause, be renewed by the same issuer from now on."""
    moved: dict[int, list[int]] = {}
    for member in members:
        campaign = member.campaign
        is_forward = campaign.state != Campaign.State.ROLLING_BACK
        if is_forward and campaign.to_issuer_id is not None:
            moved.setdefault(campaign.to_issuer_id, []).append(member.device_id)
    if moved:
        hold(Device.objects.filter(pk__in=[number for numbers in moved.values() for number in numbers]))
    for issuer, numbers in moved.items():
        Device.objects.filter(pk__in=numbers).exclude(issuer=issuer).update(issuer=issuer)
