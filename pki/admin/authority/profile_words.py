"""What a profile comes to, in sentences that need no knowledge of its fields."""

from collections.abc import Iterator

from pki.admin.parts.spans import IN_HOURS, IN_MINUTES, IN_SECONDS, written
from pki.models import Profile

_ENROLLS = {
    Profile.Policy.TOKEN: "A device enrolls with a token that an administrator gave it.",
    Profile.Policy.APPROVAL: "A device enrolls once an administrator has approved its request.",
    Profile.Policy.OPEN: "Anybody enrolls who reaches the provisioning listener.",
}


def sentences(profile: Profile) -> Iterator[str]:
    """What happens to a device of this profile, from its first certificate to the last."""
    yield _ENROLLS[Profile.Policy(profile.enrollment_policy)]
    yield (
        f"Its certificates are signed by {profile.issuer}, are good for "
        f"{' and '.join(profile.extended_key_usages) or 'nothing'}, and live "
        f"{written(profile.lifetime_seconds, IN_SECONDS)}."
    )
    yield "It renews by itself, long before the end, " + (
        "with a new key or with the one that it has."
        if profile.renew_same_key
        else "with a new key each time."
    )
    yield _superseded(profile.supersede_after_minutes)
    yield (
        f"If it sleeps past the end, it may still renew for {written(profile.grace_hours, IN_HOURS)}, "
        "unless it was revoked."
        if profile.grace_hours
        else "If it sleeps past the end, it needs a new token."
    )
    yield _warned(profile.warn_days)


def _superseded(minutes: int | None) -> str:
    if minutes is None:
        return "The certificate before stays good until it ends."
    when = f"{written(minutes, IN_MINUTES)} after" if minutes else "as soon as"
    return f"The certificate before is revoked as superseded {when} the new one is first seen at work."


def _warned(days: list[int]) -> str:
    if not days:
        return "Nobody is warned if it does not renew."
    *others, last = [str(each) for each in sorted(days, reverse=True)]
    when = f"{', '.join(others)} and {last}" if others else last
    return (
        f"If it does not renew, somebody is warned {when} {'days' if when != '1' else 'day'} before the end."
    )
