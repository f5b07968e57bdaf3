"""A database with one row of everything."""

from types import SimpleNamespace

import pytest
from django.contrib.auth.models import User

from pki.models import AuditEvent, EnrollmentRequest, Issuer, Profile, Revocation, RevokedSerial
from pki.services.auditing import sealing
from pki.services.enrolling import tokens
from pki.services.revoking import revocation
from tests.services.cast import TESTER, Gadget, pattern_token, registered, set_policy, token_for


@pytest.fixture
def stored(ca, now):
    """A device that enrolled and was revoked, one that waits, their tokens, and who looks after them."""
    door = registered("door-1", now)
    secret = token_for(door, now, uses=2)
    certificate = Gadget("door-1").enroll(secret, now).certificate
    pattern = pattern_token("window-*", now)
    set_policy(Profile.Policy.APPROVAL)
    waiting = Gadget("sensor-1").enroll(None, now)
    set_policy(Profile.Policy.TOKEN)
    other = Gadget("door-1").enroll(secret, now).certificate
    (revoked,) = revocation.revoke([other], Revocation.Reason.SUPERSEDED, TESTER, now)
    RevokedSerial.objects.create(
        issuer=certificate.issuer,
        serial="1001",
        subject="/CN=door-2",
        reason=Revocation.Reason.SUPERSEDED,
        revoked_at=now,
        not_after=certificate.not_after,
    )
    sealing.seal(now)
    return SimpleNamespace(
        root=Issuer.objects.get(parent=None),
        issuing=Issuer.objects.get(parent__isnull=False),
        profile=door.profile,
        device=door,
        token=tokens.find(secret, now),
        pattern=tokens.find(pattern, now),
        secret=secret,
        certificate=certificate,
        other=other,
        revocation=revoked,
        issued=EnrollmentRequest.objects.get(certificate=certificate),
        waiting=waiting,
        event=AuditEvent.objects.get(kind="certificate.issued", certificate=certificate),
        user=User.objects.get(username="admin"),
    )
