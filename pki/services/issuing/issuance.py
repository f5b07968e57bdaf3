"""The CA: signs what the RA has approved, and never releases what is not stored."""

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.db.models import CharField

from pki.core import bundles, certificates, pins
from pki.core.csr import VerifiedRequest
from pki.core.errors import Refusal
from pki.core.profiles import Grant, Rules, grant
from pki.keystore import keystore
from pki.models import Certificate, Device, Issuer, Profile, Revocation, SubjectAltName
from pki.services import audit
from pki.services.audit import Actor
from pki.services.issuing import authorities
from pki.services.issuing.dependence import why_barred
from pki.services.prepared import Asked, Rows, insert
from pki.services.transactions import one_at_a_time, writing
from pki.services.trusting import cross_certificates


class IssuerNotYetValid(Refusal):
    """By this machine's clock, the time of the issuer that would sign has not come."""

    code = "issuer_not_yet_valid"


class IssuerInactive(Refusal):
    """The issuer that would sign was retired or declared compromised, or one above it is compromised."""

    code = "issuer_inactive"


class DeviceInactive(Refusal):
    """The device is suspended or retired."""

    code = "device_inactive"


class KeyCompromised(Refusal):
    """A certificate for this key was revoked because the key is in wrong hands."""

    code = "key_compromised"


class KeyInUse(Refusal):
    """Another device has a certificate for this key."""

    code = "key_in_use"


class KeyNotNew(Refusal):
    """The device is to have a new key, and this is one that it had before."""

    code = "key_not_new"


# The certificates of a key.
_EARLIER = Rows(
    lambda: Certificate.objects.filter(spki_sha256=Asked("spki_sha256", CharField())).values_list(
        "device_id", "revocation__reason", "issued_at"
    )
)


@dataclass(frozen=True)
class Issued:
    """A certificate that is stored, and what a device is sent."""

    certificate: Certificate
    chain: list[x509.Certificate]

    @property
    def pem(self) -> bytes:
        """The certificate, then its chain without the root, PEM."""
        return bundles.pem([self.certificate.parsed, *self.chain])


def issue(
    device: Device,
    request: VerifiedRequest,
    actor: Actor,
    now: datetime,
    rules: Rules | None = None,
    *,
    renews: str = "",
) -> tuple[Issued, Grant]:
    """Sign `request` for `device` under its profile; the certificate and its audit event are one transaction.

    `rules` are those of the profile, but for one that an administrator waived; `renews` is the serial of the
    certificate that was shown for it. Raises DeviceInactive,
    KeyCompromised, KeyInUse, KeyNotNew, IssuerInactive, IssuerExpired and what `profiles.grant` raises.
    """
    require_active_device(device)
    profile, issuer = device.profile, device.next_issuer(now)
    require_active_issuer(issuer)
    rules = rules or profile.rules
    granted = grant(rules, device.record, request)
    authority = authorities.authority(issuer)
    with writing():
        one_at_a_time(request.spki_sha256)
        require_own_key(device, request.spki_sha256)
        to_be_signed = certificates.end_entity(rules, granted, request.key, authority, now)
        signed = keystore().sign(issuer.key_reference, to_be_signed)
        certificate = store(
            signed,
            granted,
            profile,
            issuer,
            device,
            actor,
            now,
            spki_sha256=request.spki_sha256,
            renews=renews,
        )
    return Issued(certificate, cross_certificates.chain(issuer, now)), granted


def require_own_key(device: Device | None, spki_sha256: str) -> None:
    """Raise KeyCompromised, KeyInUse or KeyNotNew if this key must not be certified for `device`; none is a
    new device.
    """
    for device_id, reason, issued_at in _EARLIER.all(spki_sha256=spki_sha256):
        if reason == Revocation.Reason.KEY_COMPROMISE:
            raise KeyCompromised("This key was revoked as compromised; make a new key.")
        if device is None or device_id != device.pk:
            raise KeyInUse("This key has a certificate under another name; each device needs its own key.")
        require_new_key(device, issued_at)


def require_new_key(device: Device, issued_at: datetime) -> None:
    """Raise KeyNotNew if `device` was asked for a new key since it got a certificate for this one."""
    asked_at = device.rotation_requested_at
    if asked_at is not None and issued_at <= asked_at:
        raise KeyNotNew("This device is to have a new key, and had this one before; make a new key.")


def require_active_device(device: Device) -> None:
    """Raise DeviceInactive unless `device` may have certificates."""
    if device.state == Device.State.RETIRED:
        raise DeviceInactive("This device is retired.")
    if device.state != Device.State.ACTIVE:
        raise DeviceInactive(f"This device is {device.state}; an administrator must resume it first.")


def require_active_issuer(issuer: Issuer) -> None:
    """Raise IssuerInactive unless `issuer` may sign. Reads those above it: select them along."""
    if why := why_barred(issuer):
        raise IssuerInactive(
            f"{issuer}, the issuer of this profile, is {why}; an administrator must give the "
            "profile another one."
        )


def require_begun_issuer(issuer: Issuer, now: datetime) -> None:
    """Raise IssuerNotYetValid if `issuer` is of a time to come: this machine's clock is behind.

    For who comes by himself, and can come again once it is right.
    """
    if now < issuer.not_before:
        raise IssuerNotYetValid(
            f"The issuer of this profile is valid from {issuer.not_before:%Y-%m-%d %H:%M} UTC on, and here "
            f"it is {now:%Y-%m-%d %H:%M} UTC; an administrator must set the server's clock."
        )


def store(
    signed: x509.Certificate,
    granted: Grant,
    profile: Profile,
    issuer: Issuer,
    device: Device | None,
    actor: Actor,
    now: datetime,
    *,
    spki_sha256: str,
    listener: str = "",
    key_reference: str = "",
    renews: str = "",
) -> Certificate:
    """Keep a certificate that was just signed, with its audit event, inside the caller's transaction."""
    der = signed.public_bytes(Encoding.DER)
    common_name = str(granted.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)
    certificate = insert(
        Certificate(
            issuer=issuer,
            serial=f"{signed.serial_number:x}",
            fingerprint=pins.fingerprint(der),
            profile=profile,
            device=device,
            listener=listener,
            key_reference=key_reference,
            common_name=common_name,
            sans=[str(san) for san in granted.sans],
            spki_sha256=spki_sha256,
            not_before=signed.not_valid_before_utc,
            not_after=signed.not_valid_after_utc,
            issued_at=now,
            crl_shard=issuer.open_shard,
            der=der,
        )
    )
    if granted.sans:
        SubjectAltName.objects.bulk_create(
            SubjectAltName(certificate=certificate, value=san.value.lower()) for san in granted.sans
        )
    audit.record(
        "certificate.issued",
        actor,
        now,
        device=device,
        certificate=certificate,
        name=common_name,
        profile=profile.name,
        fingerprint=certificate.fingerprint,
        ignored=list(granted.ignored),
        renews=renews,
    )
    return certificate
