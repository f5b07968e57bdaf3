"""What a device, or an administrator, is told of when a certificate is to be renewed."""

from pki.core import renewals
from pki.core.renewals import Hint
from pki.models import Certificate
from pki.services.proving.status import Identity


def of(identity: Identity) -> Hint:
    """Of the certificate that a device shows."""
    return renewals.hint(identity.not_before, identity.not_after, identity.fingerprint, asked=identity.asked)


def of_certificate(certificate: Certificate) -> Hint:
    """The same of any device's certificate; have its device at hand (`select_related`)."""
    device = certificate.device
    asked = device is not None and renewals.is_asked(
        certificate.issued_at, certificate.issuer_id, device.issuer_id, device.rotation_requested_at
    )
    return renewals.hint(certificate.not_before, certificate.not_after, certificate.fingerprint, asked=asked)
