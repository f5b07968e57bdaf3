"""Names: of devices, of subjects (RFC 5280 4.1.2.6) and of subject alternative names (4.2.1.6)."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from cryptography import x509
from cryptography.x509.oid import NameOID, ObjectIdentifier

from pki.core.errors import Refusal

# A device's name becomes its CN: RFC 5280 appendix A, ub-common-name, allows 64 characters.
DEVICE_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._:@+-]{0,62}[A-Za-z0-9])?")
# The same with the wildcards of a token's pattern.
DEVICE_PATTERN = re.compile(r"[A-Za-z0-9._:@+*?-]{1,64}")
# SPIFFE-ID 2.1: the trust domain of spiffe://<trust domain>/<path>.
TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}")
# A label's characters: none that separates labels, in a form or in a cell of a sheet.
LABEL = re.compile(r"[A-Za-z0-9._:/=@+-]{1,64}")

_DNS_LABEL = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
_DNS_NAME = re.compile(rf"(?:\*\.)?{_DNS_LABEL}(?:\.{_DNS_LABEL})*")
# RFC 5321 4.1.2, without quoted local parts and address literals: nobody puts those in a certificate.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_EMAIL = re.compile(rf"(?=[^@]{{1,64}}@){_ATOM}(?:\.{_ATOM})*@{_DNS_LABEL}(?:\.{_DNS_LABEL})+")
# RFC 3986 2 and 3: a scheme, then unreserved and reserved characters and percent-encoded ones.
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+")
_LONGEST_SAN = 253


class NameRefused(Refusal):
    """A name is malformed, too long or of a kind that is not allowed."""

    code = "name_refused"


@dataclass(frozen=True)
class SubjectAttribute:
    """A distinguished-name attribute that a subject may have."""

    short: str
    oid: ObjectIdentifier
    longest: int  # characters, RFC 5280 appendix A


SUBJECT_ATTRIBUTES = {
    attribute.short: attribute
    for attribute in (
        SubjectAttribute("C", NameOID.COUNTRY_NAME, 2),
        SubjectAttribute("ST", NameOID.STATE_OR_PROVINCE_NAME, 128),
        SubjectAttribute("L", NameOID.LOCALITY_NAME, 128),
        SubjectAttribute("O", NameOID.ORGANIZATION_NAME, 64),
        SubjectAttribute("OU", NameOID.ORGANIZATIONAL_UNIT_NAME, 64),
        SubjectAttribute("CN", NameOID.COMMON_NAME, 64),
    )
}
_SHORT_NAMES = {attribute.oid: attribute.short for attribute in SUBJECT_ATTRIBUTES.values()}


class SanKind(StrEnum):
    """Kinds of subject alternative name, written as OpenSSL's `.cnf` files write them."""

    DNS = "DNS"
    IP = "IP"
    EMAIL = "email"
    URI = "URI"


@dataclass(frozen=True, order=True)
class San:
    """One subject alternative name; `str()` and `parse_san` are inverse: `DNS:localhost`, `IP:::1`."""

    kind: SanKind
    value: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"

    def general_name(self) -> x509.GeneralName:
        match self.kind:
            case SanKind.DNS:
                return x509.DNSName(self.value)
            case SanKind.IP:
                return x509.IPAddress(ipaddress.ip_address(self.value))
            case SanKind.EMAIL:
                return x509.RFC822Name(self.value)
            case SanKind.URI:
                return x509.UniformResourceIdentifier(self.value)


def device_name(text: str) -> str:
    """`text` if it may name a device, else NameRefused."""
    if not DEVICE_NAME.fullmatch(text):
        raise NameRefused(
            "A device name has 1 to 64 characters: ASCII letters, digits and . _ : @ + - inside."
        )
    return text


def name_pattern(text: str) -> str:
    """`text` if it may be a token's pattern of device names (`*` and `?` are wildcards), else NameRefused."""
    if not DEVICE_PATTERN.fullmatch(text):
        raise NameRefused(
            "A name pattern has 1 to 64 characters: those of a device name, with * and ? as wildcards."
        )
    return text


def label(text: str) -> str:
    """`text` if it may label devices, as `site=berlin` does, else NameRefused."""
    if not LABEL.fullmatch(text):
        raise NameRefused("A label has 1 to 64 characters: ASCII letters, digits and . _ : / = @ + -.")
    return text


def printable(text: str) -> str:
    """`text` with U+FFFD for what no line, no terminal and no database should get: line ends, ESC, NUL."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def parse_san(text: str) -> San:
    """A SAN from its writing, `DNS:…`, `IP:…`, `email:…` or `URI:…`; NameRefused if it is not one."""
    prefix, separator, value = text.strip().partition(":")
    kind = {kind.lower(): kind for kind in SanKind}.get(prefix.lower())
    if not separator or kind is None:
        raise NameRefused("A SAN is written DNS:name, IP:address, email:address or URI:uri.")
    return _checked_san(kind, value)


def _checked_san(kind: SanKind, value: str) -> San:
    if len(value) > _LONGEST_SAN:
        raise NameRefused(f"A SAN has at most {_LONGEST_SAN} characters.")
    if kind is SanKind.IP:
        try:
            # RFC 5280 4.2.1.6: the octets of an address, which have no room for a zone (RFC 4007 11).
            return San(kind, str(ipaddress.ip_address(value.replace("%", " "))))
        except ValueError:
            raise NameRefused("A SAN of kind IP must be an IPv4 or IPv6 address.") from None
    rule = {SanKind.DNS: _DNS_NAME, SanKind.EMAIL: _EMAIL, SanKind.URI: _URI}[kind]
    if not rule.fullmatch(value):
        raise NameRefused(f"A SAN of kind {kind} is malformed.")
    return San(kind, value)


def url_host(host: str) -> str:
    """A host as URLs write it: an IPv6 address in brackets (RFC 3986 3.2.2)."""
    return f"[{host}]" if ":" in host else host


def host_san(host: str) -> San:
    """The SAN of a host that is written as a DNS name or as an address."""
    try:
        return _checked_san(SanKind.IP, host)
    except NameRefused:
        return _checked_san(SanKind.DNS, host)


def sans_of(names: Iterable[x509.GeneralName]) -> tuple[list[San], list[str]]:
    """The SANs that Hatchery knows among `names`, and a word on each that it does not."""
    known: list[San] = []
    unknown: list[str] = []
    for name in names:
        match name:
            case x509.DNSName():
                candidate = (SanKind.DNS, name.value)
            case x509.IPAddress() if isinstance(name.value, ipaddress.IPv4Address | ipaddress.IPv6Address):
                candidate = (SanKind.IP, str(name.value))
            case x509.RFC822Name():
                candidate = (SanKind.EMAIL, name.value)
            case x509.UniformResourceIdentifier():
                candidate = (SanKind.URI, name.value)
            case _:
                unknown.append(type(name).__name__)
                continue
        try:
            known.append(_checked_san(*candidate))
        except NameRefused:
            unknown.append(f"malformed {candidate[0]}")
    return known, unknown


def short_name(oid: ObjectIdentifier) -> str:
    """A subject attribute's short name, `CN`; its OID if it has none here."""
    return _SHORT_NAMES.get(oid, oid.dotted_string)


def subject_attributes(name: x509.Name) -> dict[str, str]:
    """A subject's attributes by their short names; what has no short name stands under its OID.

    Of an attribute that occurs more than once, the last value is taken. A value that is no text
    (RFC 5280 allows a BIT STRING for one attribute) is left out.
    """
    return {
        short_name(attribute.oid): attribute.value for attribute in name if isinstance(attribute.value, str)
    }


def checked_subject(attributes: Mapping[str, str]) -> dict[str, str]:
    """`attributes` if each may stand in a subject; NameRefused names the first that may not."""
    for short, value in attributes.items():
        attribute = SUBJECT_ATTRIBUTES.get(short)
        if attribute is None:
            raise NameRefused(f"A subject has {', '.join(SUBJECT_ATTRIBUTES)}; not {short[:32]!r}.")
        if not value.isprintable():
            raise NameRefused(f"{short} must be printable text.")
        # cryptography counts a CN's bytes, where RFC 5280 counts characters.
        if not 1 <= len(value.encode() if short == "CN" else value) <= attribute.longest:
            raise NameRefused(f"{short} has 1 to {attribute.longest} characters.")
        if short == "C" and not re.fullmatch(r"[A-Z]{2}", value):
            raise NameRefused("C is a country's two capital letters (ISO 3166).")
    return dict(attributes)


def subject(attributes: Mapping[str, str]) -> x509.Name:
    """A distinguished name in the usual order, C, ST, L, O, OU, CN; NameRefused as `checked_subject`."""
    checked = checked_subject(attributes)
    return x509.Name(
        x509.NameAttribute(attribute.oid, checked[short])
        for short, attribute in SUBJECT_ATTRIBUTES.items()
        if short in checked
    )
