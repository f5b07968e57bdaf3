"""Certificates (RFC 5280) as unsigned builders. Signing is the keystore's."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from pki.core import extensions, keys
from pki.core.errors import Refusal
from pki.core.keys import CertifiedKey
from pki.core.profiles import ExtendedKeyUsage, Grant, Rules

# Clocks differ: a certificate is valid a little before it was made.
BACKDATED = timedelta(minutes=5)
_ONE_SECOND = timedelta(seconds=1)
_LONGEST_KEY_IDENTIFIER = 20  # octets, of the hash in RFC 5280 4.2.1.2
# The subject of OCSP responders; they are known by their keys.
RESPONDER = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "OCSP responder")])
# The subject of who signs trust bundles. No device's name may have a space (names.DEVICE_NAME).
BUNDLE_SIGNER = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Trust bundle signer")])
# RFC 9608 2: NULL, which says that no revocation of this certificate is ever told.
_NO_REVOCATION = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.56"), b"\x05\x00")


class IssuerExpired(Refusal):
    """The issuer cannot issue any more."""

    code = "issuer_expired"


@dataclass(frozen=True)
class Pointers:
    """Where a certificate sends its verifiers: URLs that end up in its extensions."""

    ca: str  # the issuer's certificate, DER (RFC 5280 4.2.2.1)
    ocsp: str
    crl: str  # 4.2.1.13


@dataclass(frozen=True)
class Authority:
    """An issuer as its certificates need to know it."""

    certificate: x509.Certificate
    pointers: Pointers


@lru_cache(maxsize=256)
def parsed(der: bytes) -> x509.Certificate:
    """A DER certificate, parsed once for all who ask. Raises ValueError."""
    return x509.load_der_x509_certificate(der)


def new_serial() -> int:
    """128 random bits, never zero (RFC 5280 4.1.2.2 wants a positive serial of at most 20 octets)."""
    return secrets.randbits(128) or 1


def validity(
    lifetime: timedelta, now: datetime, issuer: x509.Certificate | None = None
) -> tuple[datetime, datetime]:
    """notBefore and notAfter (UTC) of a certificate that is made `now` and lives for `lifetime`.

    It starts BACKDATED, but not before an issuer that has begun, and never outlives it. Raises IssuerExpired
    when nothing is left of the issuer's own validity.
    """
    now = now.replace(microsecond=0)
    not_before = now - BACKDATED
    # RFC 5280 4.1.2.5: validity is inclusive, so one second less.
    not_after = now + lifetime - _ONE_SECOND
    if issuer is not None:
        if issuer.not_valid_after_utc <= now:
            raise IssuerExpired("The issuer of this profile has expired; an administrator must renew it.")
        if issuer.not_valid_before_utc <= now:
            not_before = max(not_before, issuer.not_valid_before_utc)
        not_after = min(not_after, issuer.not_valid_after_utc)
    return not_before, not_after


def renew_at(not_before: datetime, not_after: datetime) -> datetime:
    """When to renew a certificate: after two thirds of its life."""
    return not_before + (not_after - not_before) * 2 / 3


def end_entity(
    rules: Rules, granted: Grant, key: CertifiedKey, authority: Authority, now: datetime
) -> x509.CertificateBuilder:
    """A device's or a server's certificate, unsigned. Raises IssuerExpired."""
    builder = _named(
        _device_or_server(authority, rules.extended_key_usages),
        granted.subject,
        key,
        validity(rules.lifetime, now, authority.certificate),
    )
    if granted.sans:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([san.general_name() for san in granted.sans]), critical=False
        )
    return builder


def root(
    subject: x509.Name, key: CertifiedKey, lifetime: timedelta, now: datetime
) -> x509.CertificateBuilder:
    """A self-signed root CA certificate, unsigned."""
    not_before, not_after = validity(lifetime, now)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key)
        .serial_number(new_serial())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
    )
    return _as_ca(builder, path_length=None)


def subordinate(
    subject: x509.Name, key: CertifiedKey, lifetime: timedelta, authority: Authority, now: datetime
) -> x509.CertificateBuilder:
    """A CA certificate under `authority` that may sign end entities only, unsigned. Raises IssuerExpired."""
    builder = _named(_under(authority), subject, key, validity(lifetime, now, authority.certificate))
    return _as_ca(builder, path_length=0)


def cross(
    subject: x509.Certificate, lifetime: timedelta, authority: Authority, now: datetime
) -> x509.CertificateBuilder:
    """A root's name and key, certified by another root (RFC 4158 1.5.2), unsigned. Raises IssuerExpired.

    It outlives neither of the two, and one CA may follow below it: who needs to cross several times is given
    a certificate for each way.
    """
    if subject.not_valid_after_utc <= now:
        raise IssuerExpired("The root that would be certified has expired.")
    not_before, not_after = validity(lifetime, now, authority.certificate)
    _, key = keys.certified(subject.public_key())
    not_after = min(not_after, subject.not_valid_after_utc)
    builder = _named(_under(authority), subject.subject, key, (not_before, not_after))
    return _as_ca(builder, path_length=1)


def bundle_signer(
    key: CertifiedKey, lifetime: timedelta, issuer: x509.Certificate, now: datetime
) -> x509.CertificateBuilder:
    """The certificate of who signs trust bundles, unsigned. Raises IssuerExpired.

    Its extended key usage is the one that `openssl cms -verify` asks for unless told otherwise, and that no
    profile can give (profiles.ExtendedKeyUsage): a device's certificate signs nothing that passes. Its life
    is short, and so nobody need ask whether it is revoked (RFC 9608).
    """
    return (
        _named(_signed_by(issuer), BUNDLE_SIGNER, key, validity(lifetime, now, issuer))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(_NO_REVOCATION, critical=False)
    )


def ocsp_responder(
    key: CertifiedKey, lifetime: timedelta, issuer: x509.Certificate, now: datetime
) -> x509.CertificateBuilder:
    """A delegated OCSP responder's certificate (RFC 6960 4.2.2.2), unsigned. Raises IssuerExpired.

    It says by id-pkix-ocsp-nocheck (4.2.2.2.1) that nobody need ask whether it is revoked, and so has no
    pointers to ask at; its life is to be short.
    """
    return (
        _named(_signed_by(issuer), RESPONDER, key, validity(lifetime, now, issuer))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), critical=False)
        .add_extension(x509.OCSPNoCheck(), critical=False)
    )


def has_room(authority: x509.Certificate, below: int) -> bool:
    """Whether a CA's path length lets so many CAs stand below it, one below the other (RFC 5280 4.2.1.9)."""
    constraints = extensions.value_of(authority, x509.BasicConstraints)
    return constraints is not None and (constraints.path_length is None or constraints.path_length >= below)


def key_identifier(certificate: x509.Certificate) -> str:
    """What names a CA certificate's key in our URLs: its subjectKeyIdentifier, lower-case hex.

    Of a CA that was made elsewhere, and has none or a longer one, RFC 5280's hash of the key: 40 digits.
    """
    digest = subject_key_identifier(certificate).digest
    if not 1 <= len(digest) <= _LONGEST_KEY_IDENTIFIER:
        digest = x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest
    return digest.hex()


def subject_key_identifier(certificate: x509.Certificate) -> x509.SubjectKeyIdentifier:
    """How what a CA signs names its key (RFC 5280 4.2.1.1): as the CA itself does, or by the key's hash."""
    named = extensions.value_of(certificate, x509.SubjectKeyIdentifier)
    return named or x509.SubjectKeyIdentifier.from_public_key(certificate.public_key())


def sans(certificate: x509.Certificate) -> list[x509.GeneralName]:
    """A certificate's subject alternative names."""
    try:
        return list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []


# Builders never change, and these say nothing of a subject: each is made once for all certificates that
# have so much in common, and again for an issuer, a URL or a usage that is another.
@lru_cache(maxsize=256)
def _device_or_server(authority: Authority, usages: tuple[ExtendedKeyUsage, ...]) -> x509.CertificateBuilder:
    """What an end entity's certificate says of its issuer, and of what it may be used for."""
    return (
        _under(authority)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage.oid for usage in usages]), critical=False)
    )


def _under(authority: Authority) -> x509.CertificateBuilder:
    """What a certificate says of its issuer, with where to ask about it."""
    access = [
        x509.AccessDescription(method, x509.UniformResourceIdentifier(url))
        for method, url in (
            (AuthorityInformationAccessOID.OCSP, authority.pointers.ocsp),
            (AuthorityInformationAccessOID.CA_ISSUERS, authority.pointers.ca),
        )
    ]
    crl = x509.DistributionPoint([x509.UniformResourceIdentifier(authority.pointers.crl)], None, None, None)
    return (
        _signed_by(authority.certificate)
        .add_extension(x509.AuthorityInformationAccess(access), critical=False)
        .add_extension(x509.CRLDistributionPoints([crl]), critical=False)
    )


def _signed_by(issuer: x509.Certificate) -> x509.CertificateBuilder:
    """What every certificate says of its issuer, but for a root's."""
    identifier = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
        subject_key_identifier(issuer)
    )
    builder = x509.CertificateBuilder().issuer_name(issuer.subject)
    return builder.add_extension(identifier, critical=False)


def _named(
    builder: x509.CertificateBuilder,
    subject: x509.Name,
    key: CertifiedKey,
    validity: tuple[datetime, datetime],
) -> x509.CertificateBuilder:
    """With what is a certificate's own."""
    return (
        builder.subject_name(subject)
        .public_key(key)
        .serial_number(new_serial())
        .not_valid_before(validity[0])
        .not_valid_after(validity[1])
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _as_ca(builder: x509.CertificateBuilder, path_length: int | None) -> x509.CertificateBuilder:
    return builder.add_extension(
        x509.BasicConstraints(ca=True, path_length=path_length), critical=True
    ).add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)


def _key_usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )
