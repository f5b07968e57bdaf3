"""What keeps a fleet fresh, put where pages and tables are to show it: campaigns, notices, bundles."""

from datetime import datetime

from cryptography.hazmat.primitives.serialization import Encoding

from pki.models import (
    Campaign,
    CampaignMember,
    Certificate,
    CrossCertificate,
    Delivery,
    Device,
    Issuer,
    Notice,
    Renewal,
    TrustBundle,
    Webhook,
)
from tests.services.cast import DAY


def renewed(before: Certificate, after: Certificate, now: datetime) -> Renewal:
    """That a certificate came in the place of another."""
    return Renewal.objects.create(
        certificate=after, replaced=before, device=after.device, address="192.0.2.7", at=now, used_at=now
    )


def led(device: Device, now) -> Campaign:
    """A campaign that is at work, and has asked this device."""
    issuer = Issuer.objects.get(parent__isnull=False)
    campaign = Campaign.objects.create(
        name=f"keys-{device}",
        kind=Campaign.Kind.KEY,
        state=Campaign.State.OPEN,
        from_issuer=issuer,
        created_at=now,
        created_by="administrator:admin",
        started_at=now,
        opened_at=now,
    )
    CampaignMember.objects.create(
        campaign=campaign,
        device=device,
        place=1,
        state="failed",
        asked_at=now,
        reason="<script>alert(1)</script>",
    )
    return campaign


def given_up(now, name: str = "pager") -> Delivery:
    """A notice that did not reach its webhook."""
    webhook = Webhook.objects.create(
        name=name,
        url="https://pager.example/hook/secret-path",
        secret_salt="0" * 32,
        created_at=now,
        created_by="x",
    )
    notice = Notice.objects.create(
        kind="certificate.expiring",
        at=now,
        summary="1 certificate ends",
        detail={"names": ["door-1"], "days": 7},
    )
    return Delivery.objects.create(
        notice=notice,
        webhook=webhook,
        state="given up",
        attempts=7,
        status=500,
        error="The answer was 500.",
        created_at=now,
    )


def bundled(now, version: int = 1) -> TrustBundle:
    """A version of the trust bundle, and a cross-certificate, as far as pages read them."""
    root, issuing = Issuer.objects.get(parent=None), Issuer.objects.get(parent__isnull=False)
    CrossCertificate.objects.create(
        subject=issuing,
        signer=root,
        serial=f"{version:x}",
        certificate_der=issuing.certificate_der,
        fingerprint=f"{version:064x}",
        not_before=now,
        not_after=now + DAY,
        created_at=now,
    )
    pem = root.certificate.public_bytes(Encoding.PEM).decode()
    return TrustBundle.objects.create(
        version=version,
        contents=f"# version: {version}\n{pem}",
        fingerprint=f"{version:064x}",
        made_at=now,
        signed=b"not read",
        signed_at=now,
        sign_again_at=now + DAY,
    )
