"""What a device, or an administrator, is told of when a certificate is to be renewed."""

from datetime import datetime

from pki.core import renewals
from pki.core.renewals import Hint
from pki.models import Certificate, Device
from pki.services.proving.status import Identity


def of(identity: Identity) -> Hint:
    """Of the certificate that a device shows."""
    return renewals.hint(identity.not_before, identity.not_after, identity.fingerprint, asked=identity.asked)


def of_certificate(certificate: Certificate, now: datetime) -> Hint:
    """The same of any device's certificate; have its device at hand (`select_related`)."""
    device = certificate.device
    asked = device is not None and _is_asked(certificate, device, now)
    return renewals.hint(certificate.not_before, certificate.not_after, certificate.fingerprint, asked=asked)


def _is_asked(certificate: Certificate, device: Device, now: datetime) -> bool:
    decided = device.decided_issuer(now)
    return renewals.is_asked(
        certificate.issued_at,
        certificate.issuer_id,
        decided.pk if decided else None,
        device.rotation_requested_at,
    )
