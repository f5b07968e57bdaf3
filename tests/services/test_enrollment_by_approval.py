"""Enrollment under the policy `approval`: a device waits, an administrator decides, once."""

import pytest
from django.contrib.auth.models import User

from pki.core import keys, profiles
from pki.models import AuditEvent, Certificate, Device, EnrollmentRequest, Profile, Revocation
from pki.services.audit import Actor
from pki.services.enrolling import approval, enrollment, lost_answers
from pki.services.fleet import devices
from pki.services.issuing import issuance
from pki.services.revoking import revocation
from tests.services.cast import (
    ADDRESS,
    DAY,
    TESTER,
    Gadget,
    change_state,
    device_certificates,
    refused,
    registered,
    set_policy,
)


@pytest.fixture(autouse=True)
def _by_approval(ca):
    set_policy(Profile.Policy.APPROVAL)


@pytest.fixture
def ada(ca):
    return Actor.administrator(User.objects.create_user("ada"), "192.0.2.1")


@pytest.fixture
def gadget():
    return Gadget("sensor-1")


@pytest.fixture
def waiting(gadget, now):
    return gadget.enroll(None, now)


def test_a_device_that_asks_waits_and_has_nothing_yet(gadget, now):
    waiting = gadget.enroll(None, now)
    assert isinstance(waiting, EnrollmentRequest)
    assert (waiting.state, waiting.name, waiting.address) == ("waiting", "sensor-1", ADDRESS)
    assert device_certificates() == []
    assert not Device.objects.filter(name="sensor-1").exists()


def test_the_same_csr_waits_once_however_often_it_comes(gadget, waiting, now):
    assert [gadget.enroll(None, now).pk for _ in range(3)] == [waiting.pk] * 3
    assert EnrollmentRequest.objects.count() == 1
    assert AuditEvent.objects.filter(kind="enrollment.waiting").count() == 1


def test_another_key_for_the_same_name_waits_beside_it(waiting, now):
    other = Gadget("sensor-1").enroll(None, now)
    assert other.pk != waiting.pk
    assert other.state == EnrollmentRequest.State.WAITING


def test_what_is_approved_is_issued_to_the_device_when_it_asks_again(gadget, waiting, ada, now):
    issued = approval.approve(waiting.pk, ada, now)
    assert issued.certificate.device.name == "sensor-1"
    assert issued.certificate.parsed.public_key() == gadget.key.public_key()
    assert gadget.enroll(None, now).pem == issued.pem
    assert device_certificates() == [issued.certificate]


def test_who_approved_is_kept_with_the_request_and_in_the_audit_trail(waiting, ada, now):
    issued = approval.approve(waiting.pk, ada, now)
    waiting.refresh_from_db()
    assert (waiting.state, waiting.decided_by, waiting.certificate) == (
        "issued",
        ada.user,
        issued.certificate,
    )
    event = AuditEvent.objects.get(kind="enrollment.approved")
    assert (event.actor, event.address, event.device) == ("administrator:ada", "192.0.2.1", waiting.device)


def test_approving_a_device_on_record_issues_to_that_device(gadget, now, ada):
    sensor = registered("sensor-1", now)
    assert approval.approve(gadget.enroll(None, now).pk, ada, now).certificate.device == sensor


def test_a_device_that_was_registered_while_it_waited_is_that_device(waiting, ada, now):
    sensor = registered("sensor-1", now)
    assert approval.approve(waiting.pk, ada, now).certificate.device == sensor
    assert Device.objects.filter(name="sensor-1").count() == 1


def test_a_second_approval_finds_nothing_waiting(waiting, ada, now):
    approval.approve(waiting.pk, ada, now)
    with pytest.raises(approval.NotWaiting):
        approval.approve(waiting.pk, ada, now)
    assert Certificate.objects.filter(device__name="sensor-1").count() == 1


def test_a_rejected_device_is_told_the_administrators_message(gadget, waiting, ada, now):
    approval.reject(waiting.pk, "We do not know this serial number.", ada, now)
    with pytest.raises(enrollment.EnrollmentRejected, match=r"^We do not know this serial number\.$"):
        gadget.enroll(None, now)
    waiting.refresh_from_db()
    assert (waiting.state, waiting.decided_by) == ("rejected", ada.user)
    assert AuditEvent.objects.get(kind="enrollment.rejected").actor == "administrator:ada"


def test_a_rejection_without_a_message_still_says_something(gadget, waiting, ada, now):
    approval.reject(waiting.pk, "", ada, now)
    with pytest.raises(enrollment.EnrollmentRejected) as rejected:
        gadget.enroll(None, now)
    assert rejected.value.detail


def test_a_rejection_can_not_be_approved_nor_an_approval_rejected(waiting, ada, now):
    approval.reject(waiting.pk, "No.", ada, now)
    with pytest.raises(approval.NotWaiting):
        approval.approve(waiting.pk, ada, now)
    other = Gadget("sensor-2").enroll(None, now)
    approval.approve(other.pk, ada, now)
    with pytest.raises(approval.NotWaiting):
        approval.reject(other.pk, "No.", ada, now)


def test_another_key_may_ask_after_a_rejection(waiting, ada, now):
    approval.reject(waiting.pk, "No.", ada, now)
    assert Gadget("sensor-1").enroll(None, now).state == EnrollmentRequest.State.WAITING


def test_a_request_that_could_never_be_granted_is_refused_at_once(gadget, now):
    Profile.objects.filter(name="device").update(key_kinds=["RSA"])
    with pytest.raises(profiles.KeyKindRefused):
        gadget.enroll(None, now)
    assert [request.code for request in refused()] == [keys.KeyRefused.code]


def test_a_server_without_a_san_is_refused_at_once(now):
    server = Profile.objects.get(name="server")
    Profile.objects.filter(name="server").update(enrollment_policy=Profile.Policy.APPROVAL)
    devices.register("web-1", server, TESTER, now)
    with pytest.raises(profiles.SanMissing):
        Gadget("web-1").enroll(None, now)


@pytest.mark.parametrize("state", [Device.State.SUSPENDED, Device.State.RETIRED])
def test_a_device_that_is_not_active_is_refused_at_once(gadget, now, state):
    change_state(registered("sensor-1", now), state, now)
    with pytest.raises(issuance.DeviceInactive):
        gadget.enroll(None, now)
    assert not EnrollmentRequest.objects.filter(state=EnrollmentRequest.State.WAITING).exists()


def test_an_approval_that_fails_leaves_the_request_waiting(gadget, ada, now):
    sensor = registered("sensor-1", now)
    waiting = gadget.enroll(None, now)
    change_state(sensor, Device.State.SUSPENDED, now)
    with pytest.raises(issuance.DeviceInactive):
        approval.approve(waiting.pk, ada, now)
    waiting.refresh_from_db()
    assert waiting.state == EnrollmentRequest.State.WAITING
    change_state(sensor, Device.State.ACTIVE, now)
    assert approval.approve(waiting.pk, ada, now).certificate.device == sensor


def test_a_certificate_that_was_approved_and_then_revoked_is_not_given_again(gadget, waiting, ada, now):
    issued = approval.approve(waiting.pk, ada, now)
    revocation.revoke([issued.certificate], Revocation.Reason.SUPERSEDED, TESTER, now)
    with pytest.raises(lost_answers.CertificateRevoked):
        gadget.enroll(None, now)


def test_a_certificate_that_was_approved_and_has_expired_is_not_given_again(gadget, waiting, ada, now):
    later = approval.approve(waiting.pk, ada, now).certificate.not_after + DAY
    try:
        answer = gadget.enroll(None, later)
    except enrollment.Refusal:
        return
    assert isinstance(answer, EnrollmentRequest)


def test_no_more_requests_wait_than_anybody_could_look_through(now, monkeypatch):
    monkeypatch.setattr(enrollment, "MOST_WAITING", 3)
    first = Gadget("sensor-0")
    first.enroll(None, now)
    for number in (1, 2):
        Gadget(f"sensor-{number}").enroll(None, now)
    with pytest.raises(enrollment.TooManyWaiting):
        Gadget("sensor-3").enroll(None, now)
    assert first.enroll(None, now).state == EnrollmentRequest.State.WAITING, "who waits already still may ask"
