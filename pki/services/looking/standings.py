"""How a certificate stands, for people to read; what a request is told is `status.standing`'s."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pki.core.diagnosis import difference
from pki.models import Certificate, Device, Issuer, Revocation


class Word(StrEnum):
    """How a certificate stands, in one word or two."""

    VALID = "valid"
    REVOKED = "revoked"
    HELD = "held"
    EXPIRED = "expired"
    NOT_YET_VALID = "not yet valid"
    ISSUER_COMPROMISED = "issuer compromised"
    DEVICE_SUSPENDED = "device suspended"
    DEVICE_RETIRED = "device retired"


@dataclass(frozen=True)
class Standing:
    """A word, and a sentence on it."""

    word: Word
    sentence: str

    @property
    def is_good(self) -> bool:
        return self.word is Word.VALID


def of(certificate: Certificate, now: datetime) -> Standing:
    """How a certificate stands, in the order in which a request would be refused.

    Reads its revocation (and who made it), issuer, those above that, and device: select them along.
    """
    revocation = getattr(certificate, "revocation", None)
    if revocation is not None:
        return _revoked(revocation)
    if certificate.issuer.is_lost:
        return Standing(
            Word.ISSUER_COMPROMISED,
            f"{whose_key(certificate.issuer)} is in wrong hands: anybody could have made it.",
        )
    if now > certificate.not_after:
        return Standing(
            Word.EXPIRED,
            f"It expired {difference(now - certificate.not_after)} ago.",
        )
    if now < certificate.not_before:
        return Standing(
            Word.NOT_YET_VALID,
            f"It is valid only in {difference(certificate.not_before - now)}: compare the clocks.",
        )
    return _of_device(certificate, now)


def whose_key(lost: Issuer) -> str:
    """Of an issuer that is lost: whose key is in wrong hands, its own or that of one above."""
    if lost.state == Issuer.State.COMPROMISED or lost.parent is None:
        return f"The key of {lost}"
    return f"{whose_key(lost.parent)}, above {lost},"


def _revoked(revocation: Revocation) -> Standing:
    by = f" by {revocation.revoked_by.get_username()}" if revocation.revoked_by else ""
    at = f"{revocation.revoked_at:%Y-%m-%d %H:%M} UTC"
    if revocation.reason == Revocation.Reason.CERTIFICATE_HOLD:
        return Standing(Word.HELD, f"Put on hold at {at}{by}: refused until the hold is lifted.")
    return Standing(Word.REVOKED, f"Revoked at {at}{by}. {Revocation.Reason(revocation.reason).label}.")


def _of_device(certificate: Certificate, now: datetime) -> Standing:
    device = certificate.device
    if device is not None and device.state == Device.State.SUSPENDED:
        return Standing(
            Word.DEVICE_SUSPENDED, f"Its device, {device}, is suspended: refused until it is resumed."
        )
    if device is not None and device.state == Device.State.RETIRED:
        return Standing(Word.DEVICE_RETIRED, f"Its device, {device}, is retired: refused for good.")
    return Standing(Word.VALID, f"It ends in {difference(certificate.not_after - now)}.")
