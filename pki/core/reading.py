"""A certificate, read: everything that it says, in words, for a page or a terminal to show."""

import warnings
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding

from pki.core import extensions, keys, names, pins
from pki.core.errors import UNREADABLE
from pki.core.extensions import Extension

_LONGEST_NAME = 512  # characters of a stranger's name that are kept


class Time(StrEnum):
    """Where a moment lies to a certificate's validity (RFC 5280 4.1.2.5)."""

    NOT_YET = "not yet valid"
    WITHIN = "valid"
    OVER = "expired"


@dataclass(frozen=True)
class KeyReading:
    """A public key in words."""

    kind: str  # P-256, RSA-2048, …; `unknown` for one that cannot be read
    pin_hex: str  # SHA-256 of its SubjectPublicKeyInfo; empty if it cannot be read
    pin_base64: str  # the same, as curl's --pinnedpubkey and RFC 7469 write it


@dataclass(frozen=True)
class Reading:
    """What a certificate says."""

    subject: tuple[tuple[str, str], ...]  # attribute, value
    issuer: tuple[tuple[str, str], ...]
    self_issued: bool
    serial_hex: str
    serial_decimal: str
    fingerprint: str  # SHA-256, hex
    not_before: datetime
    not_after: datetime
    version: str
    signature: str
    key: KeyReading
    extensions: tuple[Extension, ...]
    pem: str


def certificates_in(data: bytes) -> list[x509.Certificate]:
    """The certificates of a file: all of PEM (RFC 7468), or the one of DER. Raises one of UNREADABLE."""
    if b"-----BEGIN" in data:
        return x509.load_pem_x509_certificates(data)
    return [x509.load_der_x509_certificate(data)]


def read(certificate: x509.Certificate) -> Reading:
    """Everything that a certificate says; what is malformed in it says so instead of raising."""
    return Reading(
        subject=attributes(certificate, "subject"),
        issuer=attributes(certificate, "issuer"),
        self_issued=is_self_issued(certificate),
        serial_hex=f"{certificate.serial_number:x}",
        serial_decimal=decimal(certificate.serial_number),
        fingerprint=pins.fingerprint_of(certificate),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        version=certificate.version.name,
        signature=signature_in_words(certificate),
        key=read_key(public_key(certificate)),
        extensions=tuple(extensions.in_words(certificate)),
        pem=certificate.public_bytes(Encoding.PEM).decode(),
    )


def decimal(number: int) -> str:
    """A number in decimal, or a word where it is longer than any serial (20 octets have 49 digits)."""
    return str(number) if abs(number) < 1 << 1024 else "too long to write"


def public_key(holder: x509.Certificate | x509.CertificateSigningRequest) -> PublicKeyTypes | None:
    """Its public key; None if it is of a kind or a form that cannot be read."""
    try:
        return holder.public_key()
    except UNREADABLE:
        return None


def read_key(key: PublicKeyTypes | None) -> KeyReading:
    """A public key in words."""
    if key is None:
        return KeyReading("unknown", "", "")
    return KeyReading(keys.describe(key), pins.spki_sha256(key), pins.spki_pin(key))


def subject_of(holder: x509.Certificate | x509.CertificateSigningRequest) -> str:
    """A subject on one line (RFC 4514), or a word where there is none to read."""
    try:
        return holder.subject.rfc4514_string() or "no subject"
    except UNREADABLE:
        return "malformed subject"


def name_of(certificate: x509.Certificate, which: Literal["subject", "issuer"]) -> str:
    """A name in RFC 4514's writing, cut to what a log line can bear; strangers choose what is in it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on names that are too long, or empty
            name: x509.Name = getattr(certificate, which)
            return name.rfc4514_string()[:_LONGEST_NAME]
    except UNREADABLE:
        return "unreadable"


def is_self_issued(certificate: x509.Certificate) -> bool:
    """Whether it names itself as its issuer (RFC 5280 6.1)."""
    try:
        return certificate.subject == certificate.issuer
    except UNREADABLE:
        return False


def is_ca(certificate: x509.Certificate) -> bool:
    """Whether its basicConstraints let it sign certificates."""
    constraints = extensions.value_of(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def time_of(certificate: x509.Certificate, at: datetime) -> Time:
    """Whether `at` lies within its validity, which is inclusive."""
    if at < certificate.not_valid_before_utc:
        return Time.NOT_YET
    return Time.OVER if at > certificate.not_valid_after_utc else Time.WITHIN


def signature_in_words(holder: x509.Certificate | x509.CertificateSigningRequest) -> str:
    """The algorithm of its signature, as `ecdsa-with-SHA256`; its OID if it is not known."""
    oid = holder.signature_algorithm_oid
    known: str = oid._name
    return oid.dotted_string if known == "Unknown OID" else known


def attributes(certificate: x509.Certificate, which: str) -> tuple[tuple[str, str], ...]:
    """Attribute and value of its `subject` or its `issuer`, in their order."""
    try:
        name: x509.Name = getattr(certificate, which)
    except UNREADABLE:
        return (("", "malformed"),)
    return tuple(
        (names.short_name(each.oid), each.value if isinstance(each.value, str) else each.value.hex())
        for each in name
    )
