"""The kinds of notices, which mails, webhooks and the console know them by."""

EXPIRING = "certificate.expiring"
ISSUER_EXPIRING = "issuer.expiring"
REVOKED = "certificate.revoked"
REFUSED = "enrollment.refused"
RENEWAL_REFUSED = "renewal.refused"
CAMPAIGN_STOPPED = "campaign.stopped"
ISSUER_COMPROMISED = "issuer.compromised"
ISSUER_RETIRED = "issuer.retired"
AUDIT_CUT_OFF = "audit.cut_off"
MAINTENANCE_FAILED = "maintenance.failed"
TEST = "webhook.test"

# Kind → what it tells, in words. Webhooks choose from these; a test is sent to whoever it is for.
KINDS = {
    EXPIRING: "Certificates end soon, or have ended, and were not replaced",
    ISSUER_EXPIRING: "An issuer ends soon, or has ended",
    REVOKED: "Certificates were revoked",
    REFUSED: "Enrollments were refused",
    RENEWAL_REFUSED: "Renewals were refused",
    CAMPAIGN_STOPPED: "A campaign stopped by itself",
    ISSUER_COMPROMISED: "An issuer was declared compromised",
    ISSUER_RETIRED: "An issuer was retired",
    AUDIT_CUT_OFF: "The end of the audit trail was missing",
    MAINTENANCE_FAILED: "A task of maintenance failed, such as renewing a listener's certificate",
}
