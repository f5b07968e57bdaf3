"""Whether a certificate still stands: asked of the database at every request that relies on one."""

from dataclasses import dataclass
from datetime import datetime

from pki.core import certificates
from pki.core.errors import Refusal
from pki.models import Certificate, Device, Issuer


class NotStanding(Refusal):
    """A certificate that must not be relied on; each subclass says why."""

    code = "certificate_refused"


class UnknownCertificate(NotStanding):
    """No certificate of ours has this fingerprint."""

    code = "certificate_unknown"


class RevokedCertificate(NotStanding):
    """It was revoked."""

    code = "certificate_revoked"


class ExpiredCertificate(NotStanding):
    """Its time is over."""

    code = "certificate_expired"


class NotYetValidCertificate(NotStanding):
    """Its time has not come: a clock is wrong."""

    code = "certificate_not_yet_valid"


class NoDeviceCertificate(NotStanding):
    """It is ours, but it belongs to no device."""

    code = "certificate_of_no_device"


class CompromisedIssuer(NotStanding):
    """Its issuer's key is in wrong hands, so anybody could have made it."""

    code = "issuer_compromised"


class SuspendedDevice(NotStanding):
    """Its device is suspended."""

    code = "device_suspended"


class RetiredDevice(NotStanding):
    """Its device is retired."""

    code = "device_retired"


@dataclass(frozen=True)
class Identity:
    """A device that has proven itself, with a certificate that stands at this moment."""

    device: str
    device_id: int
    certificate_id: int
    serial: str  # hex
    not_before: datetime
    not_after: datetime
    issuer_id: int
    issuer_fingerprint: str  # of the issuer's certificate, SHA-256, hex
    above_is_compromised: bool  # whether the CA above the issuer is, which a TLS handshake would not trust

    @property
    def renew_at(self) -> datetime:
        return certificates.renew_at(self.not_before, self.not_after)


def standing(fingerprint: str, now: datetime) -> Identity:
    """Whose certificate this is, by its SHA-256 fingerprint (hex), with one indexed query.

    Raises the subclass of NotStanding that says why it must be refused.
    """
    try:
        row = Certificate.objects.values_list(
            "pk",
            "device_id",
            "serial",
            "not_before",
            "not_after",
            "issuer_id",
            "issuer__fingerprint",
            "issuer__state",
            "issuer__parent__state",
            "device__name",
            "device__state",
            "revocation__reason",
        ).get(fingerprint=fingerprint)
    except Certificate.DoesNotExist:
        raise UnknownCertificate("This certificate is not on record here; enroll the device again.") from None
    pk, device_id, serial, not_before, not_after, *of_issuer, device, state, reason = row
    issuer_id, issuer_fingerprint, issuer, above = of_issuer
    if reason is not None:
        raise RevokedCertificate(f"This certificate was revoked ({reason}).")
    if issuer == Issuer.State.COMPROMISED:
        raise CompromisedIssuer("The issuer of this certificate is compromised; enroll the device again.")
    if now > not_after:
        raise ExpiredCertificate(
            f"This certificate expired at {not_after:%Y-%m-%d %H:%M:%S} UTC; enroll the device again."
        )
    if now < not_before:
        raise NotYetValidCertificate(
            f"This certificate is valid from {not_before:%Y-%m-%d %H:%M:%S} UTC, "
            f"and here it is {now:%Y-%m-%d %H:%M:%S} UTC; check the clocks."
        )
    if device is None:
        raise NoDeviceCertificate("This certificate belongs to no device.")
    if state == Device.State.SUSPENDED:
        raise SuspendedDevice("This device is suspended; ask an administrator to resume it.")
    if state == Device.State.RETIRED:
        raise RetiredDevice("This device is retired.")
    return Identity(
        device=device,
        device_id=device_id,
        certificate_id=pk,
        serial=serial,
        not_before=not_before,
        not_after=not_after,
        issuer_id=issuer_id,
        issuer_fingerprint=issuer_fingerprint,
        above_is_compromised=above == Issuer.State.COMPROMISED,
    )
