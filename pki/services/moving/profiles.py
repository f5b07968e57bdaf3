"""The profile that the devices of an imported CA get."""

from datetime import datetime

from django.utils.text import slugify

from pki.core.errors import Refusal
from pki.core.profiles import ExtendedKeyUsage
from pki.models import Issuer, Profile
from pki.services.audit import Actor
from pki.services.issuing import profiles
from pki.services.issuing.bootstrap import DEVICE_LIFETIME

_LONGEST = 64  # characters of a profile's name


class ProfileTaken(Refusal):
    """There is a profile of the name that would be made, for another issuer."""

    code = "profile_exists"


def for_devices(issuer: Issuer, name: str, actor: Actor, now: datetime) -> Profile:
    """The profile of this name, or a new one under `issuer`: for clients, as the profile `device`.

    Without a name it is called as the issuer. Raises ProfileTaken.
    """
    wanted = name or slugify(issuer.name)[:_LONGEST].strip("-_") or "imported"
    if name and not slugify(name) == name.lower():
        raise ProfileTaken(f"A profile's name has letters, digits and hyphens, not {name[:64]!r}.")
    found = Profile.objects.select_related("issuer").filter(name=wanted).first()
    if found is None:
        made = Profile(
            name=wanted,
            issuer=issuer,
            lifetime_seconds=DEVICE_LIFETIME,
            extended_key_usages=[ExtendedKeyUsage.CLIENT_AUTH.value],
        )
        profiles.save(made, ["name", "issuer"], actor, now)
        return made
    if not name and found.issuer_id != issuer.pk:
        raise ProfileTaken(f"There is a profile {wanted!r} of another issuer; name one with --profile.")
    return found
