"""Changing profiles, on record; and whether any of them is open."""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pki.models import Issuer, Profile
from pki.services import audit
from pki.services.audit import Actor
from pki.services.fleet import devices
from pki.services.issuing import listener_certificates
from pki.services.rotating import overrides
from pki.services.transactions import writing
from pki.services.trusting import published_roots

log = logging.getLogger("hatchery.enrollment")


# Strangers' enrollment goes by the one, the listeners' own certificates by the other.
GONE_BY_NAME = (devices.DEFAULT_PROFILE, listener_certificates.SERVER_PROFILE)


def save(profile: Profile, changed: Sequence[str], actor: Actor, now: datetime) -> None:
    """Store a new or a changed profile, with an audit event that says what changed, from what to what.

    `changed` are names of its fields. Raises RootNotPublished if it is the listeners', and devices would
    refuse what its issuer signs.
    """
    is_open = profile.enrollment_policy == Profile.Policy.OPEN
    require_known_root(profile, profile.issuer, now)
    with writing():
        before = _stored(profile, changed)
        profile.save()
        after = _stored(profile, changed)
        audit.record(
            "profile.saved",
            actor,
            now,
            level=logging.WARNING if is_open else logging.INFO,
            profile=profile.name,
            changed=list(changed),
            enrollment_policy=profile.enrollment_policy,
            values=[f"{name}: {was} → {after[name]}" for name, was in before.items()],
            devices_follow_it=_have_devices_follow(profile, before.get("issuer")) or None,
        )
    if is_open:
        warn_of_open_enrollment()


def require_known_root(profile: Profile, issuer: Issuer, now: datetime) -> None:
    """Raise RootNotPublished if this is the listeners' profile, and `issuer`, which it is to have, is under a
    root that no trust bundle has told devices of.
    """
    if profile.name == listener_certificates.SERVER_PROFILE:
        before = Profile.objects.filter(pk=profile.pk).select_related("issuer").first()
        published_roots.require_published(issuer, before.issuer if before else None, now)


def _stored(profile: Profile, fields: Sequence[str]) -> dict[str, Any]:
    # Without a name, `values` would give all of them.
    rows = Profile.objects.filter(pk=profile.pk).values(*fields) if fields else ()
    return next(iter(rows), {})


def _have_devices_follow(profile: Profile, before: int | None) -> int:
    """Have devices follow it for which a campaign had decided on its issuer of before; how many."""
    if before is None or before == profile.issuer_id:
        return 0
    return overrides.drop_of_profile(profile.pk, before)


def open_profiles() -> list[str]:
    """Names of the profiles that sign for anybody."""
    return list(
        Profile.objects.filter(enrollment_policy=Profile.Policy.OPEN)
        .order_by("name")
        .values_list("name", flat=True)
    )


def warn_of_open_enrollment() -> None:
    """Say loudly in the log which profiles are open, if any are."""
    if names := open_profiles():
        log.warning(
            "OPEN ENROLLMENT: the profile %s signs for anybody who reaches the provisioning listener; "
            "set its enrollment policy to token or approval in the console",
            ", ".join(names),
        )
