"""Profiles as values: what may be issued, and what a request is granted of what it wishes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from pki.core import keys, names
from pki.core.csr import VerifiedRequest
from pki.core.errors import Refusal


class ExtendedKeyUsage(StrEnum):
    """What a certificate's key may be used for (RFC 5280 4.2.1.12)."""

    CLIENT_AUTH = "clientAuth"
    SERVER_AUTH = "serverAuth"

    @property
    def oid(self) -> ObjectIdentifier:
        return {
            ExtendedKeyUsage.CLIENT_AUTH: ExtendedKeyUsageOID.CLIENT_AUTH,
            ExtendedKeyUsage.SERVER_AUTH: ExtendedKeyUsageOID.SERVER_AUTH,
        }[self]


class KeyKindRefused(keys.KeyRefused):
    """The key is certifiable, but not under this profile."""


class NameMismatch(Refusal):
    """The CSR's CN is not the device's name."""

    code = "name_mismatch"


class SanMissing(Refusal):
    """A server certificate without a SAN would match no host name."""

    code = "san_missing"


@dataclass(frozen=True)
class Rules:
    """What a profile allows."""

    key_kinds: frozenset[keys.KeyKind]
    lifetime: timedelta
    extended_key_usages: tuple[ExtendedKeyUsage, ...]
    subject_from_request: frozenset[str] = field(default_factory=frozenset)  # short attribute names
    sans_from_request: frozenset[names.SanKind] = field(default_factory=frozenset)
    any_common_name: bool = False  # a CSR's CN may be another than the record's name, which is used


@dataclass(frozen=True)
class Record:
    """What is on record about an end entity: its name, and more that is to stand in its certificates."""

    name: str
    subject: dict[str, str] = field(default_factory=dict)
    sans: tuple[names.San, ...] = ()


@dataclass(frozen=True)
class Grant:
    """The names that a certificate will have, and the wishes that were not granted, in words."""

    subject: x509.Name
    sans: tuple[names.San, ...]
    ignored: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What would come of a request: the names of its certificate, what is left out, all that is refused."""

    subject: dict[str, str]  # short attribute name → value; not checked
    sans: tuple[names.San, ...]
    ignored: tuple[str, ...]
    refusals: tuple[Refusal, ...]


def grant(rules: Rules, record: Record, request: VerifiedRequest) -> Grant:
    """What `request` gets: the record's names, and of its own wishes only those that `rules` allow.

    Raises KeyKindRefused, NameMismatch, SanMissing, or names.NameRefused for an allowed wish that is
    malformed.
    """
    outcome = weigh(rules, record, request)
    if outcome.refusals:
        raise outcome.refusals[0]
    return Grant(names.subject(outcome.subject), outcome.sans, outcome.ignored)


def weigh(rules: Rules, record: Record, request: VerifiedRequest) -> Outcome:
    """The same without raising, for people: every refusal at once, and what the names would be."""
    refusals: list[Refusal] = []
    try:
        require_key_kind(rules, request.key_kind, keys.describe(request.key))
    except KeyKindRefused as refusal:
        refusals.append(refusal)
    if not rules.any_common_name:
        try:
            require_name(record.name, request)
        except NameMismatch as refusal:
            refusals.append(refusal)

    subject = dict(record.subject)
    ignored = list(request.ignored)
    for short, value in request.subject.items():
        if short == "CN" or record.subject.get(short) == value:
            continue
        if short in rules.subject_from_request and short not in record.subject:
            subject[short] = value
        else:
            ignored.append(f"subject {short}")
    subject["CN"] = record.name

    sans = list(dict.fromkeys(record.sans))
    for san in request.sans:
        if san in sans:
            continue
        if san.kind in rules.sans_from_request:
            sans.append(san)
        else:
            ignored.append(f"SAN {san}")
    refusals += _refused_names(rules, subject, sans)
    return Outcome(subject, tuple(sans), tuple(ignored), tuple(refusals))


def weigh_record(rules: Rules, record: Record) -> Outcome:
    """What would come of a request that has no wishes at all, for a key that is not made yet."""
    subject, sans = {**record.subject, "CN": record.name}, tuple(dict.fromkeys(record.sans))
    return Outcome(subject, sans, (), tuple(_refused_names(rules, subject, sans)))


def require_key_kind(rules: Rules, kind: keys.KeyKind, described: str) -> None:
    """Raise KeyKindRefused unless `rules` allow a key of `kind`."""
    if kind not in rules.key_kinds:
        allowed = ", ".join(sorted(rules.key_kinds))
        raise KeyKindRefused(f"The key is {described}; this profile allows {allowed}.")


def require_name(name: str, request: VerifiedRequest) -> None:
    """Raise NameMismatch if a request is for another than the end entity of this name."""
    if request.common_name not in (None, name):
        raise NameMismatch("The CSR's CN must be the device's name, or be left out.")


def _refused_names(rules: Rules, subject: Mapping[str, str], sans: Sequence[names.San]) -> Iterator[Refusal]:
    if ExtendedKeyUsage.SERVER_AUTH in rules.extended_key_usages and not sans:
        # RFC 9525 2: clients match the SAN alone, never the CN.
        yield SanMissing(
            "A server certificate needs a SAN; add the server's DNS names and addresses to its record."
        )
    try:
        names.checked_subject(subject)
    except names.NameRefused as refusal:
        yield refusal
