"""The kinds of notices, which mails, webhooks and the console know them by."""

EXPIRING = "certificate.expiring"
ISSUER_EXPIRING = "issuer.expiring"
REVOKED = "certificate.revoked"
REFUSED = "enrollment.refused"
CAMPAIGN_STOPPED = "campaign.stopped"
ISSUER_COMPROMISED = "issuer.compromised"
ISSUER_RETIRED = "issuer.retired"
LISTENER_NOT_RENEWED = "listener.not_renewed"
TEST = "webhook.test"

# Kind → what it tells, in words. Webhooks choose from these; a test is sent to whoever it is for.
KINDS = {
    EXPIRING: "Certificates end soon and were not replaced",
    ISSUER_EXPIRING: "An issuer ends soon",
    REVOKED: "Certificates were revoked",
    REFUSED: "Enrollments were refused",
    CAMPAIGN_STOPPED: "A campaign stopped by itself",
    ISSUER_COMPROMISED: "An issuer was declared compromised",
    ISSUER_RETIRED: "An issuer was retired",
    LISTENER_NOT_RENEWED: "A listener's certificate could not be renewed",
}
