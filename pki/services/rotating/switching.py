"""The profiles of an issuer that is left as a whole: new devices get the new issuer as well.

Not the listeners' own: their certificates are shown to every client at once, canary or not, and an
administrator decides when.
"""

from collections.abc import Iterable
from datetime import datetime

from pki.models import Campaign, Issuer, Profile
from pki.services.audit import Actor
from pki.services.issuing import listener_certificates, profiles
from pki.services.rotating import selection


def switch(campaign: Campaign, actor: Actor, now: datetime) -> None:
    """Give the profiles of the old issuer the new one, if all that it signed for moves."""
    if campaign.kind != Campaign.Kind.ISSUER or not selection.of(campaign).is_whole_issuer:
        return
    of_devices = Profile.objects.exclude(name=listener_certificates.SERVER_PROFILE)
    switched = list(of_devices.filter(issuer=campaign.from_issuer).order_by("pk").select_for_update())
    _give(switched, campaign.to_issuer_id, actor, now)
    campaign.switched_profiles = [profile.pk for profile in switched]


def switch_back(campaign: Campaign, actor: Actor, now: datetime) -> None:
    """Give them the old issuer again if it may sign, but for those that somebody has changed since."""
    old = campaign.from_issuer
    if old is None or old.state != Issuer.State.ACTIVE or old.not_after <= now:
        return
    switched = Profile.objects.filter(pk__in=campaign.switched_profiles, issuer=campaign.to_issuer)
    _give(list(switched.order_by("pk").select_for_update()), campaign.from_issuer_id, actor, now)
    campaign.switched_profiles = []


def _give(chosen: Iterable[Profile], issuer: int | None, actor: Actor, now: datetime) -> None:
    for profile in chosen:
        if issuer is not None:
            profile.issuer_id = issuer
            profiles.save(profile, ["issuer"], actor, now)
