"""A CRL that somebody shows, read (RFC 5280 5): whose it is, which, and whether a certificate is in it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from pki.core.errors import UNREADABLE


@dataclass(frozen=True)
class ListReading:
    """What a CRL says of itself."""

    issuer: str  # its name (RFC 4514)
    number: int | None
    base_number: int | None  # of the list that it adds to, if it is a delta (RFC 5280 5.2.4)
    this_update: datetime
    next_update: datetime | None
    entries: int
    addresses: tuple[str, ...]  # of the only certificates it is for (RFC 5280 5.2.5); none: for all


def read(crl: x509.CertificateRevocationList) -> ListReading:
    """What a CRL says; what is malformed in it is left out."""
    number = _extension(crl, x509.CRLNumber)
    base = _extension(crl, x509.DeltaCRLIndicator)
    scope = _extension(crl, x509.IssuingDistributionPoint)
    names = (scope.full_name or ()) if scope is not None else ()
    try:
        issuer = crl.issuer.rfc4514_string() or "no name"
    except UNREADABLE:
        issuer = "malformed name"
    return ListReading(
        issuer=issuer,
        number=number.crl_number if number is not None else None,
        base_number=base.crl_number if base is not None else None,
        this_update=crl.last_update_utc,
        next_update=crl.next_update_utc,
        entries=len(crl),
        addresses=tuple(each.value for each in names if isinstance(each, x509.UniformResourceIdentifier)),
    )


def names(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    """Whether a CRL says that it is of `issuer`; anybody can say so."""
    try:
        return crl.issuer == issuer.subject
    except UNREADABLE:
        return False


def signed_by(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    """Whether the key of `issuer` signed a CRL."""
    try:
        return crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]  # others raise TypeError
    except (InvalidSignature, *UNREADABLE):
        return False


def entry_of(crl: x509.CertificateRevocationList, serial: int) -> tuple[datetime, str] | None:
    """Since when a serial is revoked, and why (RFC 5280 5.3.1); None if it is not in the list."""
    found = crl.get_revoked_certificate_by_serial_number(serial)
    if found is None:
        return None
    try:
        reason = found.extensions.get_extension_for_class(x509.CRLReason).value.reason.value
    except (*UNREADABLE, x509.ExtensionNotFound):
        reason = "unspecified"
    return found.revocation_date_utc, reason


def _extension(crl: x509.CertificateRevocationList, kind: type) -> Any:
    try:
        return crl.extensions.get_extension_for_class(kind).value
    except (*UNREADABLE, x509.ExtensionNotFound):
        return None
