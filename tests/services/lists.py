"""CRLs as these tests read them: what is stored for an issuer, and what it says."""

from datetime import datetime
from typing import Any

from cryptography import x509

from pki.core import crls
from pki.models import FULL, Certificate, Issuer, RevocationList
from pki.services.publishing import publication
from pki.services.revoking import revocation
from tests.services.cast import TESTER


def issuing() -> Issuer:
    return Issuer.objects.filter(parent__isnull=False).order_by("pk")[0]


def root() -> Issuer:
    return Issuer.objects.get(parent=None)


def stored(issuer: Issuer, shard: int = FULL) -> RevocationList:
    return RevocationList.objects.get(issuer=issuer, shard=shard)


def signed(issuer: Issuer, shard: int = FULL, column: str = "der") -> x509.CertificateRevocationList:
    """A stored list, its signature checked."""
    crl = crls.load(bytes(getattr(stored(issuer, shard), column)))
    assert crl.is_signature_valid(issuer.certificate.public_key())
    return crl


def said(issuer: Issuer, shard: int = FULL, column: str = "der") -> dict[str, str]:
    """The reasons on a stored list, by serial in hex."""
    return {
        f"{entry.serial:x}": str(entry.reason.value)
        for entry in crls.entries_of(signed(issuer, shard, column)).values()
    }


def numbers() -> dict[tuple[int, int], int]:
    rows = RevocationList.objects.values_list("issuer_id", "shard", "number")
    return {(issuer, shard): number for issuer, shard, number in rows}


def revoke(certificate: Certificate, reason: str, now: datetime) -> None:
    revocation.revoke([certificate], revocation.Revocation.Reason(reason), TESTER, now)


def publish(now: datetime) -> int:
    made = 0
    try:
        made += publication.publish_shards(now)
    finally:
        made += publication.publish_full_lists(now)
    return made


def extension(crl: x509.CertificateRevocationList, kind: type[Any]) -> Any:
    return crl.extensions.get_extension_for_class(kind).value
