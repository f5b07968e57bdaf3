"""Who signs for devices instead of their profiles' issuers (`Device.issuer`): where that decision ends.

Campaigns make it, and let it go with what says the same as the profile (`ending`). Here it goes because
somebody decided otherwise since: of an issuer, of a profile, or of a device.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from pki.models import Campaign, CampaignMember, Device, Issuer
from pki.services import audit
from pki.services.audit import Actor
from pki.services.rotating.holding import hold
from pki.services.transactions import writing

State = CampaignMember.State

_BY_HAND = "An administrator let it follow its profile."
_OTHER_PROFILE = "Its profile was changed to one of another issuer."


def made_by(device: Device) -> Campaign | None:
    """The campaign that decided who signs for `device`, as far as that is known."""
    to_it = Q(campaign__to_issuer=device.issuer_id)
    back_to_it = Q(old_issuer=device.issuer_id, campaign__kind=Campaign.Kind.ISSUER)
    members = device.campaigns.filter(to_it | back_to_it, campaign__started_at__isnull=False)
    member = members.select_related("campaign").order_by("-campaign__started_at", "-pk").first()
    return member.campaign if member else None


def clear(device: Device, actor: Actor, now: datetime) -> bool:
    """Let `device` follow its profile again, and the campaign that leads it elsewhere leave it alone; whether
    it did not follow it.

    What says the same as the profile stays: it asks a device to come to the profile's issuer.
    """
    with writing():
        overridden = Device.objects.filter(pk=device.pk, issuer__isnull=False)
        if not overridden.exclude(issuer=F("profile__issuer")).exists():
            return False
        before = _follow_profile(device, _BY_HAND)
        audit.record("device.follows_profile", actor, now, device=device, instead_of=str(before))
    return True


def leave_with_profile(device: Device) -> Issuer | None:
    """Do the same because `device`, whose profile was changed and is not stored yet, gets one of another
    issuer, inside the caller's transaction; who signed for it instead before, if somebody did.
    """
    stored = Device.objects.filter(pk=device.pk).values_list("profile__issuer", "issuer").get()
    if device.profile.issuer_id in stored:
        return None  # the profile's issuer is the same, or it was decided on already
    return _follow_profile(device, _OTHER_PROFILE)


def drop_of_profile(profile: int, before: int) -> int:
    """Drop what says the same as a profile said before it was given another issuer than `before`, inside the
    caller's transaction; of how many devices. Not of those that a campaign leads: for them `drop_overtaken`
    does it when that ends.
    """
    return _drop(Device.objects.filter(~_led(), profile=profile, issuer=before))


def drop_of_issuer(issuer: Issuer) -> int:
    """Drop the decisions for an issuer that is retired, inside the caller's transaction; of how many devices.

    Not of those that a campaign leads. Until it ends it may go on, if the issuer is taken back.
    """
    return _drop(Device.objects.filter(~_led(), issuer=issuer))


def drop_of_lost(issuers: Iterable[int]) -> int:
    """Drop the decisions for issuers that are compromised, or below one that is, inside the caller's
    transaction; of how many devices.
    """
    return _drop(Device.objects.filter(issuer__in=list(issuers)))


def drop_useless(devices: Iterable[int], able: Iterable[int]) -> None:
    """Drop what says the same as the profile, or names an issuer that is not among those `able` to sign, of
    these devices, inside the caller's transaction.
    """
    overridden = Device.objects.filter(pk__in=list(devices), issuer__isnull=False)
    useless = overridden.filter(Q(issuer=F("profile__issuer")) | ~Q(issuer__in=list(able)))
    _drop(Device.objects.filter(pk__in=list(useless.values_list("pk", flat=True))))


def drop_overtaken(devices: Iterable[int], campaign: Campaign, profiles: Iterable[int]) -> None:
    """Drop what `campaign` decided on these devices whose profiles (their numbers) somebody decided on since,
    inside the caller's transaction.
    """
    decided = (campaign.from_issuer_id, campaign.to_issuer_id)
    _drop(Device.objects.filter(pk__in=list(devices), profile__in=list(profiles), issuer__in=decided))


def _led() -> Exists:
    """The condition that a living campaign leads a device from issuer to issuer."""
    return Exists(_members().filter(device=OuterRef("pk")))


def _members() -> QuerySet[CampaignMember]:
    return CampaignMember.objects.filter(living=True, campaign__kind=Campaign.Kind.ISSUER)


def _drop(devices: QuerySet[Device]) -> int:
    numbers = hold(devices)
    if numbers:
        devices.update(issuer=None)
    return len(numbers)


def _follow_profile(device: Device, why: str) -> Issuer | None:
    held: dict[str, Any] = {"of": ("self",), "no_key": True}
    # The members first, as where they are asked: no deadlock.
    members = _members().filter(device=device).select_related("campaign").order_by("pk")
    leaving = [
        member.pk
        for member in members.select_for_update(**held)
        if not _leads_to(member.campaign, device.profile.issuer_id)
    ]
    before = Device.objects.select_related("issuer").select_for_update(**held).get(pk=device.pk).issuer
    CampaignMember.objects.filter(pk__in=leaving).update(living=False)
    unmoved = CampaignMember.objects.filter(pk__in=leaving).exclude(state=State.MOVED)
    unmoved.update(state=State.LEFT, asked_at=None, reason=why)
    Device.objects.filter(pk=device.pk).update(issuer=None)
    device.issuer = None
    return before


def _leads_to(campaign: Campaign, issuer: int) -> bool:
    return campaign.state != Campaign.State.ROLLING_BACK and campaign.to_issuer_id == issuer
