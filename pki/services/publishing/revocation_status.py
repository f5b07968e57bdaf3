"""What Hatchery says of its certificates to the world: the source of CRLs and of OCSP answers."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from cryptography import x509
from django.db.models import BigIntegerField, CharField, Exists, F, FilteredRelation, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce

from pki.core import ocsp
from pki.core.crls import Entry
from pki.core.ocsp import Status
from pki.models import FULL, Certificate, Issuer, Revocation, RevokedSerial
from pki.services.prepared import Asked, Rows
from pki.services.publishing.known_issuers import KnownIssuer

_REASONS = {str(reason): x509.ReasonFlags(reason) for reason in Revocation.Reason}
_CHUNK = 10_000  # rows read at once
# Since when an issuer is compromised, if it is; older databases may not know.
_SINCE = Coalesce("compromised_at", "created_at")


def entries(issuer: Issuer, shard: int, ended_since: datetime | None) -> Iterator[Entry]:
    """What stands on a list of an issuer: of one shard of its certificates, or of all (FULL).

    The full list has the CAs below it too, and the roots whose keys it certified, because their certificates
    name it. Certificates that had ended
    before `ended_since` are passed over.
    """
    yield from _certificates(issuer, shard, ended_since)
    if shard == FULL:
        yield from _unseen(issuer, ended_since)
        yield from _authorities(issuer, ended_since)


def _certificates(issuer: Issuer, shard: int, ended_since: datetime | None) -> Iterator[Entry]:
    revocations = Revocation.objects.filter(certificate__issuer=issuer)
    if shard != FULL:
        revocations = revocations.filter(certificate__crl_shard=shard)
    if ended_since is not None:
        end: Any = F("certificate__not_after")
        if shard != FULL:
            # Not as a column: SQLite would take the index of ends, and look through all of the issuer's.
            end = Coalesce(end, "certificate__not_before")
        revocations = revocations.alias(end=end).filter(end__gte=ended_since)
    rows = revocations.values_list("certificate__serial", "revoked_at", "reason")
    for serial, revoked_at, reason in rows.iterator(chunk_size=_CHUNK):
        yield Entry(int(serial, 16), revoked_at, _REASONS[reason])


def _unseen(issuer: Issuer, ended_since: datetime | None) -> Iterator[Entry]:
    """Those whose certificates nobody brought when the issuer was imported; a later copy is a certificate."""
    brought = Certificate.objects.filter(issuer=OuterRef("issuer"), serial=OuterRef("serial"))
    rows = RevokedSerial.objects.filter(~Exists(brought), issuer=issuer)
    if ended_since is not None:
        rows = rows.filter(not_after__gte=ended_since)
    for serial, revoked_at, reason in rows.order_by("pk").values_list("serial", "revoked_at", "reason"):
        yield Entry(int(serial, 16), revoked_at, _REASONS[reason])


def _authorities(issuer: Issuer, ended_since: datetime | None) -> Iterator[Entry]:
    below = issuer.subordinates.filter(state=Issuer.State.COMPROMISED)
    if ended_since is not None:
        below = below.filter(not_after__gte=ended_since)
    for authority in below.annotate(compromised_since=_SINCE).order_by("pk"):
        serial = authority.certificate.serial_number
        yield Entry(serial, authority.compromised_since, x509.ReasonFlags.ca_compromise)
    # Whoever has a root's key would be believed by who trusts only the root that certified it.
    crossed = issuer.cross_signed.filter(subject__state=Issuer.State.COMPROMISED)
    if ended_since is not None:
        crossed = crossed.filter(not_after__gte=ended_since)
    since: Any = Coalesce("subject__compromised_at", "subject__created_at")
    for serial, revoked_at in crossed.order_by("pk").values_list("serial", since):
        yield Entry(int(serial, 16), revoked_at, x509.ReasonFlags.ca_compromise)


class IssuerGone(Exception):
    """The database does not know this issuer any more."""


def of_serial(issuer: KnownIssuer, serial: int) -> Status:
    """The status of a certificate, with one indexed query; expired ones are answered like others. One that is
    not on record takes a second query.

    A CA certificate is looked up among the issuers, and the certificate of an OCSP responder is good.
    Raises IssuerGone or DatabaseError.
    """
    authority = issuer.below.get(serial)
    if authority is not None:
        return _of_authority(authority, issuer)
    state, since, certificate, responder, reason, revoked_at = _row(issuer, f"{serial:x}")
    compromised = state == Issuer.State.COMPROMISED
    # What was revoked for good stays so; of what is on hold, the compromise says more.
    if reason is not None and not (compromised and reason == Revocation.Reason.CERTIFICATE_HOLD):
        return ocsp.revoked(revoked_at, reason)
    if compromised:
        # RFC 6960 2.7. Of any serial: who has the key makes certificates that are on no record.
        return ocsp.revoked(since, "cACompromise")
    return _of_unseen(issuer, serial) if certificate is None and responder is None else ocsp.GOOD


def _of_unseen(issuer: KnownIssuer, serial: int) -> Status:
    """The status of a serial of which no certificate is on record: a second query, for these alone."""
    found = RevokedSerial.objects.filter(issuer=issuer.pk, serial=f"{serial:x}").first()
    return ocsp.UNKNOWN if found is None else ocsp.revoked(found.revoked_at, found.reason)


def _of_authority(authority: KnownIssuer, signer: KnownIssuer) -> Status:
    """The status of a CA certificate, or of a cross-certificate: revoked with either of the two keys."""
    asked = (authority, signer)
    rows = Issuer.objects.filter(pk__in={each.pk for each in asked}).annotate(compromised_since=_SINCE)
    found = {(row.pk, row.fingerprint): row for row in rows.defer("certificate_der")}
    for each in asked:
        row = found.get((each.pk, each.fingerprint))
        if row is None:
            raise IssuerGone
        if row.state == Issuer.State.COMPROMISED:
            return ocsp.revoked(row.compromised_since, "cACompromise")
    return ocsp.GOOD


def _row(issuer: KnownIssuer, serial: str) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = _STATUS.first(
        issuer=issuer.pk, fingerprint=issuer.fingerprint, serial=serial
    )
    if row is None:
        raise IssuerGone
    return row


def _status_of_one() -> "QuerySet[Issuer, Any]":
    serial = Asked("serial", CharField())
    rows = Issuer.objects.alias(
        named=FilteredRelation("certificates", condition=Q(certificates__serial=serial)),
        responder=FilteredRelation("responders", condition=Q(responders__serial=serial)),
    ).filter(pk=Asked("issuer", BigIntegerField()), fingerprint=Asked("fingerprint", CharField()))
    return rows.values_list(
        "state",
        _SINCE,
        "named__pk",
        "responder__pk",
        "named__revocation__reason",
        "named__revocation__revoked_at",
    )


_STATUS = Rows(_status_of_one)
