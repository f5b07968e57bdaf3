"""What Hatchery remembers."""

from pki.models.audit import AuditEvent
from pki.models.audit_seal import AuditChain, AuditCheckpoint, AuditSeal, AuditSigner
from pki.models.campaign import Campaign, CampaignMember
from pki.models.certificate import Certificate, SubjectAltName
from pki.models.device import Device, DeviceGroup, Label
from pki.models.enrollment import EnrollmentRequest, EnrollmentToken
from pki.models.failure_count import FailureCount
from pki.models.form_answered import FormAnswered
from pki.models.issuer import Issuer
from pki.models.last_seen import LastSeen
from pki.models.login_key import LoginKey
from pki.models.notice import Delivery, ExpiryMark, ExpiryWarning, Notice, NoticeMark, Webhook
from pki.models.profile import Profile
from pki.models.renewal import Renewal
from pki.models.responder import Responder
from pki.models.revocation import Revocation
from pki.models.revocation_list import FULL, SIGNED_BYTES, RevocationList, StaleList
from pki.models.revoked_serial import RevokedSerial
from pki.models.tally import Tally, TallyMark
from pki.models.task_run import TaskRun
from pki.models.trust import BundleSignature, BundleSigner, CrossCertificate, StandbyKey, TrustBundle

__all__ = [
    "FULL",
    "SIGNED_BYTES",
    "AuditChain",
    "AuditCheckpoint",
    "AuditEvent",
    "AuditSeal",
    "AuditSigner",
    "BundleSignature",
    "BundleSigner",
    "Campaign",
    "CampaignMember",
    "Certificate",
    "CrossCertificate",
    "Delivery",
    "Device",
    "DeviceGroup",
    "EnrollmentRequest",
    "EnrollmentToken",
    "ExpiryMark",
    "ExpiryWarning",
    "FailureCount",
    "FormAnswered",
    "Issuer",
    "Label",
    "LastSeen",
    "LoginKey",
    "Notice",
    "NoticeMark",
    "Profile",
    "Renewal",
    "Responder",
    "Revocation",
    "RevocationList",
    "RevokedSerial",
    "StaleList",
    "StandbyKey",
    "SubjectAltName",
    "Tally",
    "TallyMark",
    "TaskRun",
    "TrustBundle",
    "Webhook",
]
