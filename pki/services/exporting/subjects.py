"""What is exported: a certificate and those above it, and whom its holder is to trust."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from django.conf import settings

from pki.core.errors import Refusal
from pki.models import Certificate, Device, Issuer
from pki.services.exporting.files import FormUnfit
from pki.services.issuing import authorities
from pki.services.looking import current_certificates
from pki.services.trusting.anchors import anchors
from pki.services.trusting.bundle import NoTrustBundle


class NotTrusted(Refusal):
    """Nobody is to trust this root any more."""

    code = "root_not_trusted"


class NoCertificate(Refusal):
    """The device has no certificate that stands."""

    code = "no_certificate"


@dataclass(frozen=True)
class Subject:
    """A certificate, or an issuer, or the roots alone."""

    name: str  # what files, aliases and profiles are called by
    serial: str  # the beginning of its serial or key identifier, hex; empty for roots alone
    path: tuple[x509.Certificate, ...]  # its certificate first, its root last; empty for roots alone
    trusted: Callable[[datetime], list[x509.Certificate]]  # raises NoTrustBundle or NotTrusted

    @property
    def certificate(self) -> x509.Certificate:
        """Raises FormUnfit for roots alone."""
        if not self.path:
            raise FormUnfit("This form is of one certificate; name one, or an issuer.")
        return self.path[0]

    @property
    def chain(self) -> list[x509.Certificate]:
        """What is between the certificate and its root (RFC 5246 7.4.2: who trusts a root has it)."""
        return list(self.path[1:-1])


def of_certificate(certificate: Certificate) -> Subject:
    """One on record; its holder trusts what devices trust."""
    above = authorities.path(certificate.issuer_id, certificate.issuer.fingerprint)
    return below(above, certificate.common_name, certificate.serial, certificate.parsed)


def below(
    above: Sequence[x509.Certificate], name: str, serial: str, certificate: x509.Certificate
) -> Subject:
    """A certificate below these, which are its issuer's and on to its root."""
    return Subject(name, serial[:12], (certificate, *above), roots)


def of_device(device: Device, now: datetime) -> Subject:
    """A device's current certificate. Raises NoCertificate."""
    return of_certificate(current(device, now))


def current(device: Device, now: datetime) -> Certificate:
    """The certificate that is meant by a device's name. Raises NoCertificate."""
    certificate = current_certificates.of(device, now)
    if certificate is None or certificate.issuer.is_lost:
        raise NoCertificate(f"The device {device} has no certificate that stands; enroll it first.")
    return certificate


def of_issuer(issuer: Issuer) -> Subject:
    """A CA; what is trusted is its own root."""
    root = authorities.root_of(issuer)

    def trusted(now: datetime) -> list[x509.Certificate]:
        if root.state == Issuer.State.COMPROMISED or root.not_after <= now:
            raise NotTrusted(f"Nobody is to trust {root} any more: it is compromised, or has ended.")
        return [root.certificate]

    above = authorities.path(issuer.pk, issuer.fingerprint)
    return Subject(issuer.name, issuer.key_identifier[:12], above, trusted)


def of_roots() -> Subject:
    """What devices are to trust."""
    return Subject(f"hatchery-{settings.PORTAL_HOSTNAMES[0]}", "", (), roots)


def roots(now: datetime) -> list[x509.Certificate]:
    """The roots that devices are to trust, the oldest first. Raises NoTrustBundle."""
    found = [root.certificate for root in anchors(now).trusted]
    if not found:
        raise NoTrustBundle("No root stands that anybody could be told to trust.")
    return found
