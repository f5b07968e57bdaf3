"""Rotation on purpose: asked for with a token, called off, or completed by the device."""

import pytest

from pki.models import AuditEvent, Device, EnrollmentToken
from pki.services import issuance, rotation, tokens
from tests.services.cast import SECOND, TESTER, Gadget, change_state, everything, issue, registered

pytestmark = pytest.mark.usefixtures("ca")


@pytest.fixture
def door(ca, now):
    device = registered("door-1", now)
    issue(device, now)
    return device


def is_rotating(device):
    return Device.objects.get(pk=device.pk).rotation_requested_at is not None


def test_a_rotation_comes_with_a_token_and_supersedes_the_old_certificate_once_seen(door, now):
    old = door.certificates.get()
    secret, _ = rotation.request_with_token(door, TESTER, now)
    new = Gadget("door-1").enroll(secret, now + SECOND).certificate
    assert not hasattr(old, "revocation")
    rotation.complete(door.pk, new.pk, now + SECOND)
    old.refresh_from_db()
    assert old.revocation.reason == "superseded"
    assert not is_rotating(door)


REFUSED = {
    "a device without a certificate": lambda door, now: registered("bare", now),
    "a suspended device": lambda door, now: change_state(door, "suspended", now) or Device.objects.get(),
}


@pytest.mark.parametrize("scene", REFUSED.values(), ids=REFUSED)
def test_what_cannot_rotate_gets_no_token(door, now, scene):
    device = scene(door, now)
    before = everything()
    with pytest.raises((rotation.NothingToRotate, issuance.DeviceInactive)):
        rotation.request_with_token(device, TESTER, now)
    assert everything() == before


def test_a_token_that_is_unfit_asks_for_no_rotation(door, now):
    before = everything()
    with pytest.raises(tokens.TokenUnfit):
        rotation.request_with_token(door, TESTER, now, uses=0)
    assert everything() == before


def test_a_rotation_is_called_off_once_and_the_old_certificate_stays(door, now):
    old = door.certificates.get()
    secret, _ = rotation.request_with_token(door, TESTER, now)
    assert rotation.cancel(door, TESTER, now) is True
    assert rotation.cancel(door, TESTER, now) is False
    assert AuditEvent.objects.filter(kind="rotation.cancelled").count() == 1
    new = Gadget("door-1").enroll(secret, now + SECOND).certificate
    rotation.complete(door.pk, new.pk, now + SECOND)
    old.refresh_from_db()
    assert not hasattr(old, "revocation")
    assert EnrollmentToken.objects.get().uses == 1
