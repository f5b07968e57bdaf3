"""Certificates that Hatchery made for its own work: cross-certificates, OCSP responders, bundle signers."""

from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pki.core import pins
from pki.core.findings import Finding, Severity
from pki.models import BundleSigner, CrossCertificate, Issuer, Responder
from pki.services.looking.standings import whose_key


def findings(shown: x509.Certificate, number: int) -> Iterator[Finding]:
    """What one that is on record among these is for, and why it would be refused; nothing of any other.

    `number` is that of the part that it came as.
    """
    crosses = CrossCertificate.objects.select_related("subject", "signer")
    cross = crosses.filter(fingerprint=pins.fingerprint_of(shown)).first()
    if cross is not None:
        words = f"a cross-certificate, by which {cross.signer} certifies the key of {cross.subject}"
        yield from _found(words, (cross.subject, cross.signer), number)
    for responder in Responder.objects.filter(serial=f"{shown.serial_number:x}").select_related(
        "issuer__parent"
    ):
        if responder.certificate == shown:
            yield from _found("it signs OCSP answers", (responder.issuer,), number)
    for signer in BundleSigner.objects.filter(serial=f"{shown.serial_number:x}").select_related(
        "issuer__parent"
    ):
        if bytes(signer.certificate_der) == shown.public_bytes(Encoding.DER):
            yield from _found("it signs the trust bundle", (signer.issuer,), number)


def _found(words: str, issuers: tuple[Issuer, ...], number: int) -> Iterator[Finding]:
    yield Finding("ours", Severity.GOOD, f"It is ours: {words}.", part=number)
    for issuer in issuers:
        if issuer.is_lost:
            yield Finding(
                "issuer_compromised",
                Severity.REFUSED,
                f"{whose_key(issuer)} is in wrong hands: it is not trusted any more.",
                "Fetch the trust bundle again, and take the root out of every trust store.",
                number,
            )
