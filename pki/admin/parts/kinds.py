"""Every kind of event of the audit trail, in a few words: to choose from without asking the table."""

# Title → kind → words.
GROUPS: dict[str, dict[str, str]] = {
    "Certificates": {
        "certificate.issued": "certificate issued",
        "certificate.key_made": "key and certificate made",
        "certificate.revoked": "certificate revoked",
        "certificate.hold_lifted": "hold lifted",
    },
    "Enrollment": {
        "enrollment.waiting": "enrollment waits",
        "enrollment.approved": "enrollment approved",
        "enrollment.allowed_once": "enrollment allowed once",
        "enrollment.rejected": "enrollment rejected",
        "enrollment.refused": "enrollment refused",
        "renewal.refused": "renewal refused",
        "handshake.refused": "handshake refused",
        "forwarded_certificate.dropped": "forwarded certificate dropped",
        "proxy.refused": "proxy refused",
    },
    "Devices": {
        "device.registered": "device registered",
        "device.amended": "device amended",
        "device.active": "device resumed",
        "device.suspended": "device suspended",
        "device.retired": "device retired",
        "device.labelled": "labels changed",
        "device.grouped": "groups changed",
        "group.saved": "group saved",
        "rotation.requested": "rotation asked for",
        "rotation.cancelled": "rotation called off",
        "rotation.completed": "rotation done",
    },
    "Campaigns": {
        "campaign.drafted": "campaign drafted",
        "campaign.started": "campaign started",
        "campaign.opened": "campaign opened to all",
        "campaign.paused": "campaign paused",
        "campaign.resumed": "campaign gone on with",
        "campaign.stopped": "campaign stopped by itself",
        "campaign.rolling_back": "campaign rolling back",
        "campaign.rolled_back": "campaign rolled back",
        "campaign.finished": "campaign finished",
        "campaign.cancelled": "campaign cancelled",
    },
    "Tokens": {
        "token.made": "token made",
        "token.cancelled": "token cancelled",
    },
    "Authority": {
        "issuer.made": "issuer made",
        "issuer.retired": "issuer retired",
        "issuer.active": "issuer taken back into use",
        "issuer.compromised": "issuer declared compromised",
        "issuer.published": "root published in the trust bundle",
        "issuer.withdrawn": "root taken out of the trust bundle",
        "cross_certificate.made": "cross-certificate made",
        "bundle_signer.made": "trust bundle signer made",
        "trust_bundle.made": "trust bundle made",
        "crl.published": "CRL published by hand",
        "responder.made": "OCSP responder made",
        "profile.saved": "profile saved",
        "keystore.passphrase_changed": "passphrase of the keys changed",
        "installation.backed_up": "backup made",
        "installation.restored": "restored from a backup",
    },
    "Notices": {
        "webhook.added": "webhook added",
        "webhook.changed": "webhook changed",
        "webhook.removed": "webhook removed",
        "webhook.secret_renewed": "webhook's secret renewed",
        "webhook.secret_shown": "webhook's secret shown",
        "webhook.tested": "webhook tested",
        "delivery.tried_again": "delivery tried again",
    },
    "People": {
        "login.succeeded": "logged in",
        "logout": "logged out",
        "login.failed": "login failed",
        "login.locked": "login locked",
        "login.unlocked": "login unlocked",
        "login_key.added": "login key added",
        "login_key.removed": "login key removed",
        "administrator.made": "administrator made",
        "user.added": "user added",
        "user.changed": "user changed",
        "password.changed": "own password changed",
        "group.added": "role added",
        "group.changed": "role changed",
        "group.deleted": "role deleted",
    },
}
_WORDS = {kind: words for kinds in GROUPS.values() for kind, words in kinds.items()}


def in_words(kind: str) -> str:
    """A kind in words; one that is not known here says its name."""
    return _WORDS.get(kind, kind)
