"""Enrollment under the policy `open`: it signs for anybody, loudly, but a name that is taken stays taken."""

import logging

import pytest

from pki.core import csr
from pki.models import Device, Issuer, Profile, Revocation
from pki.services.enrolling import enrollment, lost_answers
from pki.services.fleet import devices
from pki.services.issuing import issuance, profiles
from pki.services.revoking import revocation
from tests.services.campaigns.cast import under_another_root
from tests.services.cast import (
    DAY,
    TESTER,
    Gadget,
    change_state,
    device_certificates,
    registered,
    set_policy,
)


@pytest.fixture(autouse=True)
def _open(ca):
    set_policy(Profile.Policy.OPEN)


def test_anybody_gets_a_certificate_for_a_name_that_is_free(now):
    gadget = Gadget("kiosk-1")
    issued = gadget.enroll(None, now)
    assert issued.certificate.device == Device.objects.get(name="kiosk-1")
    assert issued.certificate.parsed.public_key() == gadget.key.public_key()


def test_a_device_on_record_without_a_certificate_may_enroll(now):
    kiosk = registered("kiosk-1", now)
    assert Gadget("kiosk-1").enroll(None, now).certificate.device == kiosk


def test_somebody_has_to_say_who_they_are(now):
    with pytest.raises(enrollment.NameMissing):
        Gadget(None).enroll(None, now)


def test_an_open_signature_is_a_warning_in_the_log_with_the_name_and_the_address(now, caplog):
    Gadget("kiosk-1").enroll(None, now, address="203.0.113.5")
    loud = [record for record in caplog.records if "OPEN" in record.message]
    assert [record.levelno for record in loud] == [logging.WARNING]
    assert "kiosk-1" in loud[0].message
    assert "203.0.113.5" in loud[0].message


def test_turning_a_profile_open_is_a_warning_in_the_log(now, caplog):
    profile = devices.default_profile()
    profiles.save(profile, ["enrollment_policy"], TESTER, now)
    loud = [record for record in caplog.records if "OPEN ENROLLMENT" in record.message]
    assert loud
    assert all(record.levelno == logging.WARNING and "device" in record.message for record in loud)


def test_nothing_is_said_while_no_profile_is_open(now, caplog):
    set_policy(Profile.Policy.TOKEN)
    profiles.warn_of_open_enrollment()
    assert not [record for record in caplog.records if "OPEN" in record.message]


LIVES = {
    "valid": lambda certificate, now: now,
    "expired": lambda certificate, now: certificate.not_after + DAY,
}


@pytest.mark.parametrize("when", LIVES.values(), ids=LIVES)
def test_a_name_that_has_a_certificate_is_never_given_to_another_key(now, when):
    first = Gadget("kiosk-1").enroll(None, now)
    with pytest.raises(enrollment.AlreadyEnrolled):
        Gadget("kiosk-1").enroll(None, when(first.certificate, now))
    assert device_certificates() == [first.certificate]


def test_a_name_whose_certificate_was_revoked_is_not_given_to_another_key(now):
    first = Gadget("kiosk-1").enroll(None, now)
    revocation.revoke([first.certificate], Revocation.Reason.KEY_COMPROMISE, TESTER, now)
    with pytest.raises(enrollment.AlreadyEnrolled):
        Gadget("kiosk-1").enroll(None, now)


def test_a_lost_answer_heals_without_a_token(now):
    gadget = Gadget("kiosk-1")
    first = gadget.enroll(None, now)
    assert gadget.enroll(None, now).certificate == first.certificate
    assert device_certificates() == [first.certificate]


def test_one_of_a_lost_issuer_is_not_given_again_but_made_anew(now):
    gadget = Gadget("kiosk-1")
    first = gadget.enroll(None, now)
    Issuer.objects.filter(parent=None).update(state=Issuer.State.COMPROMISED)
    other = under_another_root(now)
    Profile.objects.filter(pk=first.certificate.profile_id).update(issuer=other)
    assert gadget.enroll(None, now).certificate.issuer == other


def test_a_revoked_certificate_is_not_given_again(now):
    gadget = Gadget("kiosk-1")
    first = gadget.enroll(None, now)
    revocation.revoke([first.certificate], Revocation.Reason.KEY_COMPROMISE, TESTER, now)
    with pytest.raises(lost_answers.CertificateRevoked):
        gadget.enroll(None, now)


def test_a_key_whose_certificate_was_revoked_gets_no_other_however_it_had_got_it(now):
    gadget = Gadget("kiosk-1")
    from_the_shell, _ = issuance.issue(registered("kiosk-1", now), csr.verify(gadget.csr), TESTER, now)
    revocation.revoke([from_the_shell.certificate], Revocation.Reason.KEY_COMPROMISE, TESTER, now)
    with pytest.raises(csr.Refusal):
        gadget.enroll(None, now)
    assert device_certificates() == [from_the_shell.certificate]


def test_an_expired_certificate_is_not_given_again(now):
    gadget = Gadget("kiosk-1")
    later = gadget.enroll(None, now).certificate.not_after + DAY
    try:
        answer = gadget.enroll(None, later)
    except csr.Refusal:
        return
    assert answer.certificate.not_after > later


@pytest.mark.parametrize("state", [Device.State.SUSPENDED, Device.State.RETIRED])
def test_a_device_that_is_not_active_is_refused(now, state):
    kiosk = registered("kiosk-1", now)
    change_state(kiosk, state, now)
    with pytest.raises(issuance.DeviceInactive):
        Gadget("kiosk-1").enroll(None, now)
    assert device_certificates() == []


def test_a_device_of_a_profile_that_wants_a_token_is_not_open(now):
    strict = Profile.objects.create(
        name="strict", issuer=devices.default_profile().issuer, extended_key_usages=["clientAuth"]
    )
    devices.register("door-1", strict, TESTER, now)
    with pytest.raises(enrollment.tokens.TokenMissing):
        Gadget("door-1").enroll(None, now)
