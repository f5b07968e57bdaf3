"""Rotation on purpose: asked for with a token, called off, or completed by the device."""

import pytest

from pki.core import csr
from pki.models import AuditEvent, Device, EnrollmentToken, Profile, Revocation
from pki.services.enrolling import tokens
from pki.services.fleet import rotation
from pki.services.fleet.sightings import Sighting
from pki.services.issuing import issuance
from tests.services.cast import (
    SECOND,
    TESTER,
    Gadget,
    change_state,
    everything,
    issue,
    registered,
    set_policy,
    token_for,
    uses_of,
)

pytestmark = pytest.mark.usefixtures("ca")


@pytest.fixture
def door(ca, now):
    device = registered("door-1", now)
    issue(device, now)
    return device


def complete(device, certificate, at):
    """The device shows a certificate."""
    rotation.complete([Sighting(device.pk, certificate.pk, at, None, "TLSv1.3")])


def is_rotating(device):
    return Device.objects.get(pk=device.pk).rotation_requested_at is not None


def test_a_rotation_comes_with_a_token_and_supersedes_the_old_certificate_once_seen(door, now):
    old = door.certificates.get()
    secret, _ = rotation.request_with_token(door, TESTER, now)
    new = Gadget("door-1").enroll(secret, now + SECOND).certificate
    assert not hasattr(old, "revocation")
    complete(door, new, now + SECOND)
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
    complete(door, new, now + SECOND)
    old.refresh_from_db()
    assert not hasattr(old, "revocation")
    assert EnrollmentToken.objects.get().uses == 1


# --- A new key, and no other ----------------------------------------------------------------------


@pytest.fixture
def gadget(ca, now):
    """A device that enrolled with a key of its own, and is to have a new one."""
    gadget = Gadget("gate-1")
    gadget.enroll(token_for(registered("gate-1", now), now), now)
    return gadget


def rotated(gadget, now, **options):
    """Ask for its rotation; the token."""
    return rotation.request_with_token(Device.objects.get(name=gadget.name), TESTER, now, **options)[0]


def test_a_key_that_a_rotating_device_had_before_is_refused_and_costs_no_use(gadget, now):
    secret = rotated(gadget, now + SECOND)
    with pytest.raises(issuance.KeyNotNew):
        gadget.enroll(secret, now + 2 * SECOND)
    assert uses_of(secret) == 0
    assert Gadget("gate-1").enroll(secret, now + 3 * SECOND)


def test_a_key_whose_certificate_was_revoked_before_is_not_new_either(gadget, now):
    gate = Device.objects.get(name="gate-1")
    rotation.revocation.revoke(gate.certificates.all(), Revocation.Reason.SUPERSEDED, TESTER, now)
    issue(gate, now)
    with pytest.raises(issuance.KeyNotNew):
        gadget.enroll(rotated(gadget, now + SECOND), now + 2 * SECOND)


def test_a_rotating_device_is_not_given_the_certificate_of_its_old_key_again(now):
    set_policy(Profile.Policy.OPEN)
    gadget = Gadget("gate-1")
    before = gadget.enroll(None, now).certificate
    assert gadget.enroll(None, now).certificate == before
    rotated(gadget, now + SECOND)
    with pytest.raises(issuance.KeyNotNew):
        gadget.enroll(None, now + 2 * SECOND)


def test_a_lost_answer_heals_during_a_rotation(gadget, now):
    secret = rotated(gadget, now + SECOND)
    anew = Gadget("gate-1")
    first = anew.enroll(secret, now + 2 * SECOND)
    assert anew.enroll(secret, now + 3 * SECOND).certificate == first.certificate
    assert is_rotating(Device.objects.get(name="gate-1"))


def test_the_old_key_is_good_again_once_the_rotation_is_called_off(gadget, now):
    secret = rotated(gadget, now + SECOND)
    rotation.cancel(Device.objects.get(name="gate-1"), TESTER, now)
    assert gadget.enroll(secret, now + 2 * SECOND)


def test_a_certificate_for_the_old_key_ends_no_rotation(gadget, now):
    """Issued at the moment when the rotation was asked for: it was checked before that, and stored after."""
    gate = Device.objects.get(name="gate-1")
    secret = rotated(gadget, now + SECOND)
    late, _ = issuance.issue(gate, csr.verify(gadget.csr), TESTER, now + 2 * SECOND)
    complete(gate, late.certificate, now + 3 * SECOND)
    assert is_rotating(gate)
    assert not Revocation.objects.exists()

    new = Gadget("gate-1").enroll(secret, now + 4 * SECOND).certificate
    complete(gate, new, now + 5 * SECOND)
    assert not is_rotating(gate)
    assert {each.certificate.spki_sha256 for each in Revocation.objects.all()} == {
        late.certificate.spki_sha256
    }


def test_a_certificate_of_before_ends_no_rotation(door, now):
    rotation.request(door, TESTER, now)
    complete(door, door.certificates.get(), now + SECOND)
    assert is_rotating(door)


def test_who_does_not_rotate_keeps_the_key_and_pays_no_query_for_it(gadget, now, django_assert_num_queries):
    gate = Device.objects.get(name="gate-1")
    with django_assert_num_queries(1):
        issuance.require_own_key(gate, csr.verify(gadget.csr).spki_sha256)
    assert gadget.enroll(token_for(gate, now), now)
