"""The parts of a configuration profile: what it has trusted, and its identity. Its signer is none of them."""

from pki.core import apple_reading, containers
from pki.core.apple_reading import Profile
from pki.core.findings import Severity
from pki.core.parts import Kind, Recognised
from pki.core.reading import subject_of

_MOST_IDENTITIES = 5  # whose passwords are hashed
_MOST_SIGNERS = 3  # who are named


def read(data: bytes, password: str, into: Recognised) -> bool:
    """Whether `data` is a configuration profile, and its parts are in `into` now."""
    profile = apple_reading.read(data)
    if profile is None:
        return False
    part = into.add(Kind.CONFIGURATION_PROFILE, "signed" if profile.is_signed else "not signed")
    into.found(
        "configuration_profile",
        Severity.NOTE,
        _in_words(profile),
        "Install it on an iPhone, iPad or Mac. Other clients want the files that are in it by themselves.",
        part,
    )
    for certificate in profile.trusted:
        containers.add_certificate(certificate, "to trust, in the profile", into, is_to_trust=True)
    for identity in profile.identities[:_MOST_IDENTITIES]:
        if not containers.read(identity, "in the profile", password, into):
            into.add(Kind.UNREADABLE, "identity, in the profile")
    return True


def _in_words(profile: Profile) -> str:
    trusted, identities = len(profile.trusted), len(profile.identities)
    roots = f"{trusted} certificate{'s' if trusted != 1 else ''} to trust"
    identity = f"{identities or 'no'} identit{'ies' if identities > 1 else 'y'}"
    signed = "It is not signed."
    if profile.is_signed:
        names = ", ".join(map(subject_of, profile.signers[:_MOST_SIGNERS])) or "somebody who is not named"
        signed = f"It is signed by {names}; the signature was not verified."
    return f"This is a configuration profile of Apple's, “{profile.name}”: {roots}, and {identity}. {signed}"
