"""A draft of a profile from an OpenSSL `.cnf`: what each line becomes, before anything is stored."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError

from pki.core import openssl_config, openssl_wishes
from pki.core.errors import Refusal
from pki.core.keys import KeyKind
from pki.core.openssl_wishes import Told, Wishes
from pki.core.profiles import ExtendedKeyUsage
from pki.models import Issuer, Profile
from pki.models.profile import all_key_kinds
from pki.services.audit import Actor
from pki.services.issuing import profiles
from pki.services.issuing.bootstrap import DEVICE_LIFETIME

_DAY = 86_400  # seconds
_NO_USAGE = "good for clientAuth; choose serverAuth for servers, and then let no CSR choose names"
_OF_SERVERS = (
    "a certificate with serverAuth plays every server that it names, so no CSR chooses them: DNS names and "
    "addresses come from the device's record alone"
)


class ProfileRefused(Refusal):
    """A profile that cannot be stored so."""

    code = "profile_refused"


@dataclass(frozen=True)
class Draft:
    """The fields of a profile, by their names, and what each line of the file became."""

    fields: dict[str, Any]
    told: list[Told] = field(default_factory=list)


def draft(text: str) -> Draft:
    """What a `.cnf` would become; no password of it is told, not even by a refusal. Raises ConfigRefused."""
    wishes = openssl_wishes.read(openssl_config.parse(openssl_config.without_passwords(text)))
    fields = {
        "lifetime_seconds": wishes.days * _DAY if wishes.days else DEVICE_LIFETIME,
        "key_kinds": [KeyKind.RSA.value] if wishes.rsa_bits else all_key_kinds(),
        "extended_key_usages": [usage.value for usage in wishes.usages]
        or [ExtendedKeyUsage.CLIENT_AUTH.value],
        "subject_from_request": _subject(wishes),
        "sans_from_request": [kind.value for kind in openssl_wishes.kinds_of(wishes)],
    }
    return Draft(fields, [*wishes.told, *_unsaid(wishes)])


def profile_of(name: str, issuer: Issuer, drafted: Draft) -> Profile:
    """The profile that a draft would be, checked and not stored. Raises ProfileRefused."""
    profile = Profile(name=name, issuer=issuer, **drafted.fields)
    try:
        profile.full_clean()
    except ValidationError as error:
        raise ProfileRefused(" ".join(error.messages)) from None
    return profile


def save(profile: Profile, drafted: Draft, actor: Actor, now: datetime) -> None:
    """Store it. Raises RootNotPublished."""
    profiles.save(profile, ["name", "issuer", *drafted.fields], actor, now)


def _subject(wishes: Wishes) -> list[str]:
    named = {*wishes.prompts, *wishes.subject} - {"CN"}
    return sorted(named, key=["C", "ST", "L", "O", "OU"].index)


def _unsaid(wishes: Wishes) -> list[Told]:
    """What a profile has that the file does not speak of."""
    told = [Told(0, "who may enroll", "who has a token; change it in the profile")]
    if not wishes.rsa_bits:
        told.append(Told(0, "no default_bits", "keys of every kind"))
    if not wishes.usages:
        told.append(Told(0, "no extendedKeyUsage", _NO_USAGE))
    if ExtendedKeyUsage.SERVER_AUTH in wishes.usages:
        told.append(Told(0, "names of servers", _OF_SERVERS))
    if not wishes.days:
        told.append(Told(0, "no default_days", f"certificates live {DEVICE_LIFETIME // _DAY} days"))
    return told
