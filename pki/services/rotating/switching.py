"""The profiles of an issuer that is left as a whole: new devices get the new issuer as well.

Not the listeners' own: their certificates are shown to every client at once, canary or not, and an
administrator decides when.
"""

from collections.abc import Iterable
from datetime import datetime

from django.db.models import QuerySet

from pki.models import Campaign, Issuer, Profile
from pki.services.audit import Actor
from pki.services.issuing import listener_certificates, profiles
from pki.services.rotating import selection


def applies(campaign: Campaign) -> bool:
    """Whether it gives profiles another issuer when it opens to all: it moves all that the old one signed."""
    return campaign.kind == Campaign.Kind.ISSUER and selection.of(campaign).is_whole_issuer


def of_issuer(issuer: Issuer | None) -> QuerySet[Profile]:
    """The profiles that a campaign away from `issuer` gives the new one."""
    of_devices = Profile.objects.exclude(name=listener_certificates.SERVER_PROFILE)
    return of_devices.filter(issuer=issuer).order_by("name")


def given(campaign: Campaign) -> QuerySet[Profile]:
    """The profiles that it gave the new issuer, but for those that somebody has changed since."""
    still = Profile.objects.filter(pk__in=campaign.switched_profiles, issuer=campaign.to_issuer)
    return still.order_by("name")


def to_give_back(campaign: Campaign, now: datetime) -> QuerySet[Profile]:
    """Those that get the old issuer back if it is rolled back or cancelled: none if that cannot sign."""
    old = campaign.from_issuer
    return given(campaign) if old is not None and old.can_sign(now) else Profile.objects.none()


def switch(campaign: Campaign, actor: Actor, now: datetime) -> None:
    """Give the profiles of the old issuer the new one, if all that it signed for moves."""
    if not applies(campaign):
        return
    switched = list(of_issuer(campaign.from_issuer).order_by("pk").select_for_update())
    _give(switched, campaign.to_issuer_id, actor, now)
    campaign.switched_profiles = [profile.pk for profile in switched]


def switch_back(campaign: Campaign, actor: Actor, now: datetime) -> None:
    """Give them the old issuer again if it may sign, but for those that somebody has changed since."""
    if campaign.from_issuer is None or not campaign.from_issuer.can_sign(now):
        return
    _give(to_give_back(campaign, now).order_by("pk").select_for_update(), campaign.from_issuer_id, actor, now)


def _give(chosen: Iterable[Profile], issuer: int | None, actor: Actor, now: datetime) -> None:
    for profile in list(chosen):
        if issuer is not None:
            profile.issuer_id = issuer
            profiles.save(profile, ["issuer"], actor, now)
