"""Why a server, or a client, would refuse what somebody shows: pure rules over parts, a moment and the CAs.

What only the database knows (revoked, held, suspended) is `pki.services.looking.inspection`'s.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from pki.core import extensions, hostnames, keys, matching, reading, trust
from pki.core.errors import UNREADABLE
from pki.core.findings import Finding, Severity
from pki.core.parts import Kind, Part, Recognised
from pki.core.profiles import ExtendedKeyUsage
from pki.core.reading import Time
from pki.core.trust import Trust


@dataclass(frozen=True)
class Circumstances:
    """What a diagnosis is made against."""

    trust: Trust
    now: datetime
    use: ExtendedKeyUsage  # what the certificate is shown for
    hostname: str = ""  # what a client would ask for; empty to leave it out
    is_all: bool = False  # whether what is shown is all that the other side gets, as in a handshake


def diagnose(recognised: Recognised, circumstances: Circumstances) -> list[Finding]:
    """What is wrong with the parts, each by itself and together; what was found while reading comes first."""
    findings = list(recognised.findings)
    # RFC 8446 4.4.2: of what is sent in a handshake the first is the own one, whatever the others are.
    leaves = recognised.of(Kind.CERTIFICATE)[:1] if circumstances.is_all else leaves_of(recognised)
    for part in recognised.of(Kind.CERTIFICATE):
        rules = _RULES if part in leaves else _CA_RULES
        for rule in rules:
            findings += rule(part, recognised, circumstances)
    for part in recognised.of(Kind.REQUEST):
        findings += [*_weak_signature(part, recognised, circumstances), *_unproven(part)]
    for part in recognised.of(Kind.REQUEST, Kind.PRIVATE_KEY, Kind.PUBLIC_KEY):
        findings += _weak_key(part, recognised, circumstances)
    findings += matching.findings(recognised, leaves)
    return findings


def leaves_of(recognised: Recognised) -> list[Part]:
    """The certificates that are shown as somebody's own: no CAs; or the first of nothing but CAs.

    Of a trust store none is.
    """
    parts = [part for part in recognised.of(Kind.CERTIFICATE) if not part.is_to_trust]
    leaves = [part for part in parts if not reading.is_ca(_of(part))]
    return leaves or parts[:1]


def _of(part: Part) -> x509.Certificate:
    if part.certificate is None:
        raise TypeError(f"Part {part.number} is no certificate.")
    return part.certificate


def difference(span: timedelta) -> str:
    """A length of time in its largest unit, rounded down: `3 days`, `1 hour`."""
    seconds = int(abs(span.total_seconds()))
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = seconds // length
            return f"{count:,} {unit}{'s' if count != 1 else ''}"
    return f"{seconds} second{'s' if seconds != 1 else ''}"


def remaining(certificate: x509.Certificate, now: datetime) -> str:
    """How much of its life is left, in words."""
    match reading.time_of(certificate, now):
        case Time.OVER:
            return f"ended {difference(now - certificate.not_valid_after_utc)} ago"
        case Time.NOT_YET:
            return f"begins in {difference(certificate.not_valid_before_utc - now)}"
    return f"{difference(certificate.not_valid_after_utc - now)} left"


# --- Validity -------------------------------------------------------------------------------------

# A device whose clock was reset stands in 1970 or at its firmware's date; a few hours are a time zone.
_TIME_ZONE = timedelta(hours=26)


def _validity(part: Part, _: Recognised, circumstances: Circumstances) -> Iterator[Finding]:
    certificate, now = _of(part), circumstances.now
    here = f"here it is {now:%Y-%m-%d %H:%M:%S} UTC"
    match reading.time_of(certificate, now):
        case Time.OVER:
            end = certificate.not_valid_after_utc
            yield Finding(
                "certificate_expired",
                Severity.REFUSED,
                f"It expired {difference(now - end)} ago, at {end:%Y-%m-%d %H:%M:%S} UTC; {here}.",
                "Renew it. If the other side says otherwise, compare the clocks.",
                part.number,
            )
        case Time.NOT_YET:
            start = certificate.not_valid_before_utc
            zone = " A few hours are usually a time zone." if start - now < _TIME_ZONE else ""
            yield Finding(
                "certificate_not_yet_valid",
                Severity.REFUSED,
                f"It is valid only in {difference(start - now)}, from {start:%Y-%m-%d %H:%M:%S} UTC; {here}.",
                f"A clock is wrong, here or where it was made: set both by NTP, in UTC.{zone}",
                part.number,
            )


def _chain(part: Part, recognised: Recognised, circumstances: Circumstances) -> Iterator[Finding]:
    beside = [_of(each) for each in recognised.of(Kind.CERTIFICATE) if each is not part]
    yield from trust.findings(
        _of(part), beside, circumstances.trust, part.number, is_all=circumstances.is_all
    )


# --- What it may do -------------------------------------------------------------------------------


def _usage(part: Part, _: Recognised, circumstances: Circumstances) -> Iterator[Finding]:
    certificate, use = _of(part), circumstances.use
    usages = extensions.value_of(certificate, x509.ExtendedKeyUsage)
    allowed = {use.oid, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    if usages is not None and not allowed & set(usages):
        whose = "client" if use is ExtendedKeyUsage.CLIENT_AUTH else "server"
        yield Finding(
            "eku_missing",
            Severity.REFUSED,
            f"Its extended key usage does not allow {use}: it may not be a TLS {whose}.",
            f"Issue it under a profile with {use}.",
            part.number,
        )
    key_usage = extensions.value_of(certificate, x509.KeyUsage)
    if key_usage is not None and not key_usage.digital_signature and not reading.is_ca(certificate):
        yield Finding(
            "key_usage_missing",
            Severity.REFUSED,
            "Its key usage does not allow digitalSignature, which TLS 1.3 needs.",
            "Issue it anew under a profile of Hatchery.",
            part.number,
        )


def _ca_as_leaf(part: Part, recognised: Recognised, _: Circumstances) -> Iterator[Finding]:
    if reading.is_ca(_of(part)):
        keyed = any(each.key == part.key and part.key is not None for each in recognised.of(Kind.PRIVATE_KEY))
        yield Finding(
            "ca_as_leaf",
            Severity.REFUSED if keyed else Severity.WARNING,
            "This is a CA certificate: it signs others. As somebody's own, Hatchery and Firefox refuse it; "
            "curl and Node take it.",
            "Show the device's own certificate; give this one to those who are to trust it.",
            part.number,
        )


def _names(part: Part, _: Recognised, circumstances: Circumstances) -> Iterator[Finding]:
    certificate = _of(part)
    server = circumstances.use is ExtendedKeyUsage.SERVER_AUTH
    if reading.is_ca(certificate) and not server:
        return
    sans = extensions.value_of(certificate, x509.SubjectAlternativeName)
    if not sans:
        yield Finding(
            "san_missing",
            Severity.REFUSED if server else Severity.NOTE,
            "It has no subject alternative name, a CN only. Browsers, Go and Apple's clients match a "
            "server's name with the SANs alone (RFC 9525); curl and Java still take the CN.",
            "Issue it with the server's names and addresses as SANs."
            if server
            else "A client needs none; a server does.",
            part.number,
        )
    if circumstances.hostname:
        yield hostnames.matched(certificate, list(sans or ()), circumstances.hostname, part.number)


# --- Strength -------------------------------------------------------------------------------------


def _weak_key(part: Part, _: Recognised, __: Circumstances) -> Iterator[Finding]:
    if part.key is None:
        if part.certificate is not None or part.request is not None:
            yield Finding(
                "key_unreadable",
                Severity.REFUSED,
                "Its key is of a kind or a form that cannot be read.",
                "Make a new key: P-256, or RSA of 2048 bits or more.",
                part.number,
            )
        return
    try:
        keys.certified(part.key)
    except keys.KeyRefused as refusal:
        weak = isinstance(part.key, dsa.DSAPublicKey) or (
            isinstance(part.key, rsa.RSAPublicKey) and part.key.key_size < keys.RSA_BITS_MIN
        )
        yield Finding(
            "weak_key" if weak else "unusual_key",
            Severity.REFUSED if weak else Severity.WARNING,
            refusal.detail,
            "Make a new key: P-256, or RSA of 2048 bits or more.",
            part.number,
        )


def _weak_signature(part: Part, _: Recognised, __: Circumstances) -> Iterator[Finding]:
    holder = part.certificate or part.request
    if holder is None or (part.certificate is not None and reading.is_self_issued(part.certificate)):
        return  # nobody relies on a root's own signature
    try:
        weak = isinstance(holder.signature_hash_algorithm, hashes.MD5 | hashes.SHA1)
    except UNREADABLE:
        weak = False
    if weak:
        yield Finding(
            "weak_signature",
            Severity.REFUSED,
            f"It is signed with a broken hash ({reading.signature_in_words(holder)}).",
            "Have it signed anew, with SHA-256.",
            part.number,
        )


def _unproven(part: Part) -> Iterator[Finding]:
    try:
        proven = part.request is not None and part.request.is_signature_valid
    except UNREADABLE:
        proven = False
    if not proven:
        yield Finding(
            "csr_signature_invalid",
            Severity.REFUSED,
            "The request is not signed by the key that it holds: it was changed, or made of two.",
            "Make the CSR anew, with the device's key.",
            part.number,
        )


_Rule = Callable[[Part, Recognised, Circumstances], Iterator[Finding]]
_RULES: tuple[_Rule, ...] = (_validity, _chain, _ca_as_leaf, _usage, _names, _weak_key, _weak_signature)
_CA_RULES: tuple[_Rule, ...] = (_validity, _weak_key, _weak_signature)
