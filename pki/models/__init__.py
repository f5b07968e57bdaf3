"""What Hatchery remembers."""

from pki.models.audit import AuditEvent
from pki.models.certificate import Certificate, SubjectAltName
from pki.models.device import Device, DeviceGroup, Label
from pki.models.enrollment import EnrollmentRequest, EnrollmentToken
from pki.models.form_answered import FormAnswered
from pki.models.issuer import Issuer
from pki.models.last_seen import LastSeen
from pki.models.login_key import LoginKey
from pki.models.profile import Profile
from pki.models.responder import Responder
from pki.models.revocation import Revocation
from pki.models.revocation_list import FULL, RevocationList, StaleList
from pki.models.tally import Tally, TallyMark

__all__ = [
    "FULL",
    "AuditEvent",
    "Certificate",
    "Device",
    "DeviceGroup",
    "EnrollmentRequest",
    "EnrollmentToken",
    "FormAnswered",
    "Issuer",
    "Label",
    "LastSeen",
    "LoginKey",
    "Profile",
    "Responder",
    "Revocation",
    "RevocationList",
    "StaleList",
    "SubjectAltName",
    "Tally",
    "TallyMark",
]
