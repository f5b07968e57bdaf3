"""What Hatchery says of its certificates to the world: the source of CRLs and of OCSP answers."""

from collections.abc import Iterator
from datetime import datetime

from cryptography import x509

from pki.core.crls import Entry
from pki.models import FULL, Issuer, Revocation

_REASONS = {str(reason): x509.ReasonFlags(reason) for reason in Revocation.Reason}
_CHUNK = 10_000  # rows read at once


def entries(issuer: Issuer, shard: int, ended_since: datetime | None) -> Iterator[Entry]:
    """What stands on a list of an issuer: of one shard of its certificates, or of all (FULL).

    The full list has the CAs below it too, because their certificates name it. Certificates that had ended
    before `ended_since` are passed over.
    """
    yield from _certificates(issuer, shard, ended_since)
    if shard == FULL:
        yield from _authorities(issuer, ended_since)


def _certificates(issuer: Issuer, shard: int, ended_since: datetime | None) -> Iterator[Entry]:
    revocations = Revocation.objects.filter(certificate__issuer=issuer)
    if shard != FULL:
        revocations = revocations.filter(certificate__crl_shard=shard)
    if ended_since is not None:
        revocations = revocations.filter(certificate__not_after__gte=ended_since)
    rows = revocations.values_list("certificate__serial", "revoked_at", "reason")
    for serial, revoked_at, reason in rows.iterator(chunk_size=_CHUNK):
        yield Entry(int(serial, 16), revoked_at, _REASONS[reason])


def _authorities(issuer: Issuer, ended_since: datetime | None) -> Iterator[Entry]:
    below = issuer.subordinates.filter(state=Issuer.State.COMPROMISED)
    if ended_since is not None:
        below = below.filter(not_after__gte=ended_since)
    for authority in below.order_by("pk"):
        # Older databases may not know since when.
        since = authority.compromised_at or authority.created_at
        yield Entry(authority.certificate.serial_number, since, x509.ReasonFlags.ca_compromise)
