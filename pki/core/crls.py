"""Certificate revocation lists (RFC 5280 5) as unsigned builders. Signing is the keystore's."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from cryptography import x509

from pki.core import certificates

HOLD = x509.ReasonFlags.certificate_hold
REMOVED = x509.ReasonFlags.remove_from_crl
UNSPECIFIED = x509.ReasonFlags.unspecified


class Entry(NamedTuple):
    """A certificate on a list."""

    serial: int
    revoked_at: datetime  # UTC
    reason: x509.ReasonFlags


@dataclass(frozen=True)
class Heading:
    """What a list says of itself."""

    number: int  # RFC 5280 5.2.3
    this_update: datetime  # UTC, whole seconds
    next_update: datetime


def complete(
    issuer: x509.Certificate,
    heading: Heading,
    entries: Iterable[Entry],
    *,
    distribution_point: str = "",
    freshest: str = "",
) -> x509.CertificateRevocationListBuilder:
    """A list of all that is revoked of its scope, unsigned.

    Its scope is the certificates that name the URL `distribution_point` (RFC 5280 5.2.5), or, without one,
    all of the issuer's. `freshest` is the URL of its delta (5.2.6). Raises ValueError for an entry that only
    a delta may have.
    """
    builder = _builder(issuer, heading, [_complete(entry) for entry in entries])
    if distribution_point:
        builder = builder.add_extension(
            x509.IssuingDistributionPoint(
                full_name=[x509.UniformResourceIdentifier(distribution_point)],
                relative_name=None,
                only_contains_user_certs=False,
                only_contains_ca_certs=False,
                only_some_reasons=None,
                indirect_crl=False,
                only_contains_attribute_certs=False,
            ),
            # Else who does not know the extension would take a shard for the whole.
            critical=True,
        )
    if freshest:
        point = x509.DistributionPoint([x509.UniformResourceIdentifier(freshest)], None, None, None)
        builder = builder.add_extension(x509.FreshestCRL([point]), critical=False)
    return builder


def delta(
    issuer: x509.Certificate, heading: Heading, entries: Iterable[Entry], base: int
) -> x509.CertificateRevocationListBuilder:
    """A list of what has changed since the complete list of number `base` (RFC 5280 5.2.4), unsigned."""
    builder = _builder(issuer, heading, [_revoked(entry) for entry in entries])
    return builder.add_extension(x509.DeltaCRLIndicator(base), critical=True)


def changes(
    now: Iterable[Entry], base: Mapping[int, Entry], earlier: Mapping[int, Entry], at: datetime
) -> list[Entry]:
    """The entries of a delta: what is on the list `now` and was not so on the `base`, and what was lifted.

    `earlier` is the last delta to the same base: a hold that began and ended since the base must be
    removed from the complete lists in between, to which this delta may be added as well (RFC 5280 5.2.4).
    Both are by serial. What has left the list because the certificate ended is passed over, but for holds.
    """
    listed = {entry.serial: entry for entry in now}
    changed = [entry for entry in listed.values() if _signed(entry) != base.get(entry.serial)]
    lifted = {
        serial
        for before in (base, earlier)
        for serial, entry in before.items()
        if entry.reason in (HOLD, REMOVED) and serial not in listed
    }
    return changed + [Entry(serial, at, REMOVED) for serial in sorted(lifted)]


def load(der: bytes) -> x509.CertificateRevocationList:
    """A list from DER. Raises ValueError."""
    return x509.load_der_x509_crl(der)


def entries_of(crl: x509.CertificateRevocationList) -> dict[int, Entry]:
    """What stands on a list, by serial."""
    return {
        revoked.serial_number: Entry(revoked.serial_number, revoked.revocation_date_utc, _reason(revoked))
        for revoked in crl
    }


def _signed(entry: Entry) -> Entry:
    """An entry as it reads once it was signed. RFC 5280 5.1.2.6, 4.1.2.5: no fractions of a second."""
    return Entry(entry.serial, entry.revoked_at.replace(microsecond=0), entry.reason)


def _builder(
    issuer: x509.Certificate, heading: Heading, revoked: list[x509.RevokedCertificate]
) -> x509.CertificateRevocationListBuilder:
    identifier = certificates.subject_key_identifier(issuer)
    # The list is handed over at once: add_revoked_certificate copies all before it.
    return (
        x509.CertificateRevocationListBuilder(revoked_certificates=revoked)
        .issuer_name(issuer.subject)
        .last_update(heading.this_update)
        .next_update(heading.next_update)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
        .add_extension(x509.CRLNumber(heading.number), critical=False)
    )


def _complete(entry: Entry) -> x509.RevokedCertificate:
    if entry.reason == REMOVED:
        raise ValueError("removeFromCRL is for deltas only (RFC 5280 5.3.1).")
    return _revoked(entry)


# Builders that know their reason already: there are many entries and few reasons.
_FOR_REASON = {
    # RFC 5280 5.3.1: no reason is said rather than `unspecified`.
    reason: x509.RevokedCertificateBuilder()
    if reason == UNSPECIFIED
    else x509.RevokedCertificateBuilder().add_extension(x509.CRLReason(reason), critical=False)
    for reason in x509.ReasonFlags
}


def _revoked(entry: Entry) -> x509.RevokedCertificate:
    date = entry.revoked_at.replace(microsecond=0)
    return _FOR_REASON[entry.reason].serial_number(entry.serial).revocation_date(date).build()


def _reason(revoked: x509.RevokedCertificate) -> x509.ReasonFlags:
    try:
        return revoked.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except x509.ExtensionNotFound:
        return UNSPECIFIED
