"""What an imported CA has issued so far, as its files say: read and checked, nothing is stored here."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pki.core import chains, extensions, names, openssl_index, pins, reading
from pki.core.errors import UNREADABLE
from pki.core.identifiers import LARGEST_SERIAL
from pki.core.openssl_index import Line
from pki.models import Revocation

_REASONS = {reason.value.lower(): reason for reason in Revocation.Reason} | {
    # Names that only OpenSSL writes into its index, and reasons that are not for devices.
    "keytime": Revocation.Reason.KEY_COMPROMISE,
    "cakeytime": Revocation.Reason.KEY_COMPROMISE,
    "cacompromise": Revocation.Reason.KEY_COMPROMISE,
    "aacompromise": Revocation.Reason.PRIVILEGE_WITHDRAWN,
    "holdinstruction": Revocation.Reason.CERTIFICATE_HOLD,
}

_HERE = ""  # where a copy is that was on record before


@dataclass(frozen=True)
class File:
    """A file that certificates may be in, PEM or DER."""

    name: str
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class Revoked:
    """Since when and why a certificate is revoked."""

    at: datetime
    reason: Revocation.Reason


@dataclass(frozen=True)
class Remark:
    """What somebody should know of one line or one file."""

    where: str  # `line 12`, `1003.pem`
    what: str

    @property
    def place(self) -> tuple[int, str]:
        """To sort by: lines in their order, then files."""
        word, _, number = self.where.partition(" ")
        is_line = word == "line" and number.isdecimal()
        return (int(number), "") if is_line else (sys.maxsize, self.where)


@dataclass(frozen=True)
class Copy:
    """A certificate of the CA, with what the index says of it."""

    where: str
    certificate: x509.Certificate
    revoked: Revoked | None

    @property
    def serial(self) -> str:
        return f"{self.certificate.serial_number:x}"


@dataclass(frozen=True)
class Unseen:
    """A revoked serial of which no copy can be kept."""

    where: str  # `line 12`
    serial: str
    subject: str
    revoked: Revoked
    not_after: datetime


@dataclass
class Reading:
    """What is to be kept, and what is to be said."""

    copies: list[Copy] = field(default_factory=list)
    unseen: list[Unseen] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    left_out: int = 0  # lines and certificates of the CA that nothing is kept of


def read(
    authority: x509.Certificate,
    index: str | None,
    files: Iterable[File],
    now: datetime,
    here: Iterable[x509.Certificate] = (),
) -> Reading:
    """Match the lines of an `index.txt` (none: every certificate counts as good) with copies in `files`, or
    those that are `here` from before.

    Raises IndexRefused for a line that cannot be read at all: a revocation may stand on it.
    """
    found = Reading()
    # Read first: nobody wants to wait for ten thousand files to be told of a typing error.
    lines = list(openssl_index.read(index)) if index is not None else []
    by_serial, refused = _by_serial(authority, files, found)
    for certificate in here:
        by_serial.setdefault(certificate.serial_number, Copy(_HERE, certificate, None))
    for line in lines:
        where = f"line {line.number}"
        if line.serial == authority.serial_number and line.revoked_at is None:
            continue  # `openssl ca -selfsign` writes the CA itself down as well
        revoked = _revoked(line, where, found, now)
        copy = by_serial.pop(line.serial, None)
        if copy is not None:
            found.copies.append(Copy(where, copy.certificate, revoked))
        else:
            _without_copy(line, where, revoked, refused.pop(line.serial, None), found)
    for copy in by_serial.values():
        if copy.where == _HERE:
            continue
        if index is not None:
            found.remarks.append(
                Remark(copy.where, "it is not in the index, and so taken as good; revoke it if it is not")
            )
        found.copies.append(copy)
    for remark in refused.values():
        found.left_out += 1
        found.remarks.append(remark)
    return found


def _by_serial(
    authority: x509.Certificate, files: Iterable[File], found: Reading
) -> tuple[dict[int, Copy], dict[int, Remark]]:
    """The certificates that the CA signed, by serial; and by serial why others of it cannot be kept."""
    copies: dict[int, Copy] = {}
    refused: dict[int, Remark] = {}
    for file in files:
        for certificate in _certificates(file, found):
            if certificate == authority or not chains.names(certificate, authority):
                continue
            serial = certificate.serial_number
            why = _why_not(certificate, authority)
            if why:
                refused.setdefault(serial, Remark(file.name, f"left out: {why}"))
            elif serial not in copies:
                copies[serial] = Copy(file.name, certificate, None)
            elif copies[serial].certificate != certificate:
                found.left_out += 1
                found.remarks.append(Remark(file.name, _same_serial(copies[serial])))
    return copies, {serial: why for serial, why in refused.items() if serial not in copies}


def _same_serial(other: Copy) -> str:
    return (
        f"left out: {other.where} has the same serial, {other.certificate.serial_number:X}, and no CRL can "
        "tell the two apart. Enroll this device anew"
    )


def _certificates(file: File, found: Reading) -> Sequence[x509.Certificate]:
    try:
        if b"-----BEGIN CERTIFICATE-----" in file.content:
            return x509.load_pem_x509_certificates(file.content)
        if b"-----BEGIN" in file.content or not file.content.startswith(b"\x30"):
            return ()  # a key, a request, a text
        return [x509.load_der_x509_certificate(file.content)]
    except UNREADABLE:
        found.remarks.append(Remark(file.name, "it cannot be read as a certificate"))
        return ()


def _why_not(certificate: x509.Certificate, authority: x509.Certificate) -> str:
    if not extensions.are_readable(certificate):
        return (
            "its extensions cannot be read, and so not whether it is a CA's or what it is for. Enroll this "
            "device anew"
        )
    if reading.is_ca(certificate):
        return "it is a CA's; import that CA by itself, with its key"
    if not chains.signed_by(certificate, authority):
        return "this CA did not sign it, though it says so: it is of another CA of the same name, or damaged"
    if certificate.serial_number == authority.serial_number:
        return "it has the serial of the CA itself: a CRL would name both. Enroll this device anew"
    if not 0 < certificate.serial_number <= LARGEST_SERIAL:
        return "its serial cannot stand on a CRL (RFC 5280 4.1.2.2). Enroll this device anew"
    if certificate.not_valid_after_utc <= certificate.not_valid_before_utc:
        return "it ends before it begins"
    if not _has_subject(certificate):
        return "its subject cannot be read"
    return ""


def _has_subject(certificate: x509.Certificate) -> bool:
    try:
        return certificate.subject is not None
    except UNREADABLE:
        return False


def _revoked(line: Line, where: str, found: Reading, now: datetime) -> Revoked | None:
    if line.revoked_at is None:
        return None
    named = line.reason or Revocation.Reason.UNSPECIFIED
    reason = _REASONS.get(named.lower(), Revocation.Reason.UNSPECIFIED)
    if reason.lower() != named.lower():
        found.remarks.append(Remark(where, f"its reason {named[:40]!r} is kept as {reason.value}"))
    return Revoked(min(line.revoked_at, now), reason)


def _without_copy(
    line: Line, where: str, revoked: Revoked | None, refused: Remark | None, found: Reading
) -> None:
    why = f"{refused.where} is {refused.what}" if refused else "there is no copy of the certificate"
    named = f"serial {line.serial:X}, {line.subject[:100]}: {why}"
    if revoked is not None and 0 < line.serial <= LARGEST_SERIAL:
        found.unseen.append(
            Unseen(where, f"{line.serial:x}", names.printable(line.subject[:512]), revoked, line.not_after)
        )
        found.remarks.append(Remark(where, f"{named}. Its revocation is kept by the serial"))
        return
    found.left_out += 1
    what = "its revocation cannot be kept" if revoked is not None else "its device is not known here"
    advice = "" if refused else ". Give the file, or enroll the device anew"
    found.remarks.append(Remark(where, f"{named}, so {what}{advice}"))


def names_of(certificate: x509.Certificate) -> tuple[dict[str, str], list[names.San], list[str]]:
    """A certificate's subject without its CN and its SANs, as far as they may stand in a device's record; and
    in words what may not.
    """
    subject: dict[str, str] = {}
    dropped: list[str] = []
    for short, value in names.subject_attributes(certificate.subject).items():
        try:
            if short != "CN":
                subject |= names.checked_subject({short: value})
        except names.NameRefused:
            dropped.append(short)
    sans, unknown = names.sans_of(_general_names(certificate))
    return subject, list(dict.fromkeys(sans)), dropped + unknown


def _general_names(certificate: x509.Certificate) -> Iterator[x509.GeneralName]:
    try:
        yield from certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (*UNREADABLE, x509.ExtensionNotFound):
        return


def der_of(copy: Copy) -> tuple[bytes, str]:
    """DER, and its SHA-256, hex."""
    der = copy.certificate.public_bytes(Encoding.DER)
    return der, pins.fingerprint(der)
