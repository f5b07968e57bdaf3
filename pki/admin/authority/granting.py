"""What a profile makes of a request, in words: side by side, what is left out, what is refused and why."""

from dataclasses import dataclass
from datetime import timedelta

from cryptography.x509.oid import ObjectIdentifier

from pki.core import keys, names
from pki.core.errors import Refusal
from pki.core.names import SUBJECT_ATTRIBUTES, San
from pki.services.by_hand import Preview

# What to do about a refusal, where its own sentence speaks to a device and not to an administrator.
_WHAT_TO_DO = {
    "name_mismatch": "Choose the device that the CSR names, or have the CSR made anew for this name.",
    "key_refused": "Have a key of another kind made, or allow this kind in the profile.",
    "san_missing": "Write its DNS names and addresses on the device's record, then come back.",
    "name_refused": "Correct it on the device's record, or have the CSR made without it.",
    "key_in_use": "Have a new key made on the device. A key on two devices lets each pass for the other.",
    "key_not_new": "Have a new key made on the device, or cancel its rotation on its page.",
    "key_compromised": "Never use it again.",
    "device_inactive": "Resume it on its page, if it may come back. What is retired stays so.",
    "issuer_inactive": "Choose an active issuer in the profile.",
    "issuer_expired": "Make a new issuer, and choose it in the profile.",
}


@dataclass(frozen=True)
class Row:
    """One line of the comparison."""

    what: str
    asked: tuple[str, ...]
    granted: tuple[str, ...]


def rows(look: Preview) -> list[Row]:
    """What was asked for beside what it becomes."""
    request, outcome = look.request, look.outcome
    usages = tuple(str(usage) for usage in look.profile.rules.extended_key_usages)
    return [
        Row(
            "Subject",
            (_subject(request.subject),) if request and request.subject else (),
            (_subject(outcome.subject),) if outcome else (),
        ),
        Row("SANs", _written(request.sans) if request else (), _written(outcome.sans) if outcome else ()),
        Row("Key", (keys.describe(request.key),) if request else ("to be made here",), (look.key,)),
        Row("Extended key usage", (), usages),
        Row("Lives for", (), (_lifetime(look.profile.lifetime),)),
        Row("Issuer", (), (look.issuer.name,)),
        Row("Profile", (), (look.profile.name,)),
    ]


def left_out(look: Preview) -> list[str]:
    """A sentence on each wish that is not granted."""
    if look.outcome is None:
        return []
    return [_sentence(wish, look.profile.name, look.outcome.subject) for wish in look.outcome.ignored]


def refused(refusal: Refusal, look: Preview) -> tuple[str, str]:
    """Why, and what to do."""
    if refusal.code == "name_mismatch" and look.request is not None:
        asked = look.request.common_name
        return f"The CSR is for {asked!r}, not for {look.name!r}.", _WHAT_TO_DO[refusal.code]
    return refusal.detail, _WHAT_TO_DO.get(refusal.code, "")


def _sentence(wish: str, profile: str, on_record: dict[str, str]) -> str:
    # The words are those of `csr.verify` and `profiles.weigh`: a kind, then what.
    kind, _, what = wish.partition(" ")
    if kind == "subject" and what in on_record:
        return f"{what} in the subject: the record says {on_record[what]!r}, and that stands."
    if kind == "subject":
        return f"{_attribute(what)} in the subject: the profile {profile!r} does not take it from a CSR."
    if kind == "extension":
        return f"The extension {_extension(what)}: extensions come from the profile, never from a CSR."
    if ":" in what:
        return f"The SAN {what}: it is not on record, and {profile!r} does not take its kind from a CSR."
    return f"A SAN of the kind {what}: only well-formed DNS, IP, email and URI are issued."


def _attribute(short: str) -> str:
    return short if short in SUBJECT_ATTRIBUTES else f"The attribute {short}"


def _extension(dotted: str) -> str:
    name = ObjectIdentifier(dotted)._name
    return dotted if name == "Unknown OID" else f"{name} ({dotted})"


def _subject(attributes: dict[str, str]) -> str:
    try:
        return names.subject(attributes).rfc4514_string()
    except names.NameRefused:
        return ", ".join(f"{short}={value}" for short, value in attributes.items())


def _written(sans: tuple[San, ...]) -> tuple[str, ...]:
    return tuple(str(san) for san in sans)


def _lifetime(lifetime: timedelta) -> str:
    days, rest = lifetime.days, lifetime - timedelta(days=lifetime.days)
    parts = [f"{days} days"] if days else []
    return " ".join([*parts, *([f"{rest.total_seconds() / 3600:g} hours"] if rest else [])])
