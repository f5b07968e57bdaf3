"""What Hatchery remembers."""

from pki.models.audit import AuditEvent
from pki.models.certificate import Certificate
from pki.models.device import Device
from pki.models.enrollment import EnrollmentRequest, EnrollmentToken
from pki.models.issuer import Issuer
from pki.models.profile import Profile
from pki.models.revocation import Revocation

__all__ = [
    "AuditEvent",
    "Certificate",
    "Device",
    "EnrollmentRequest",
    "EnrollmentToken",
    "Issuer",
    "Profile",
    "Revocation",
]
