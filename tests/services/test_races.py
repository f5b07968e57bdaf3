"""Many at once, on a real database: threads with connections of their own, started together."""

from functools import partial

import pytest

from pki.models import AuditEvent, Certificate, Device, EnrollmentRequest, Profile, Revocation
from pki.services.enrolling import approval, enrollment, tokens
from pki.services.issuing.issuance import Issued
from pki.services.revoking import revocation
from tests.services.cast import (
    ADDRESS,
    TESTER,
    Gadget,
    at_once,
    device_certificates,
    issue,
    pattern_token,
    refused,
    registered,
    serials,
    set_policy,
    token_for,
    uses_of,
)

CROWD = 8

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("ca")]


def enroll_all(gadgets, secret, now):
    """All of them at once; their CSRs are made before."""
    return at_once(
        *(partial(enrollment.enroll, gadget.csr, secret, ADDRESS, now) for gadget in gadgets),
    )


def issued_events():
    return AuditEvent.objects.filter(kind="certificate.issued", device__isnull=False).count()


def strangers(name=None):
    """Gadgets with a key each; all of one name, or each of its own."""
    return [Gadget(name or f"door-{number}") for number in range(CROWD)]


SINGLE_USE = {
    "of a device": lambda now: (token_for(registered("door-1", now), now), strangers("door-1")),
    "of a pattern, for one name": lambda now: (pattern_token("door-*", now), strangers("door-1")),
    "of a pattern, for many names": lambda now: (pattern_token("door-*", now), strangers()),
}


@pytest.mark.parametrize("scene", SINGLE_USE.values(), ids=SINGLE_USE)
def test_one_token_and_many_keys_at_once_make_one_certificate(now, scene):
    secret, gadgets = scene(now)
    outcomes = enroll_all(gadgets, secret, now)
    assert len(serials(outcomes)) == 1
    assert len(device_certificates()) == 1
    assert issued_events() == 1
    assert uses_of(secret) == 1
    losers = [outcome for outcome in outcomes if not isinstance(outcome, Issued)]
    assert {type(loser) for loser in losers} <= {tokens.TokenInvalid, enrollment.devices.DeviceExists}
    assert len(losers) == CROWD - 1


def test_a_token_with_fewer_uses_than_keys_at_once_gives_as_many_certificates_as_uses(now):
    secret = pattern_token("door-*", now, uses=3)
    outcomes = enroll_all(strangers(), secret, now)
    assert len(serials(outcomes)) == 3
    assert len(device_certificates()) == Device.objects.count() == 3
    assert uses_of(secret) == 3


SAME_KEY = {
    "a single-use token of a device": lambda now: token_for(registered("door-1", now), now),
    "a token of a device with many uses": lambda now: token_for(registered("door-1", now), now, uses=CROWD),
    "a single-use token of a pattern": lambda now: pattern_token("door-*", now),
    "a token of a pattern with many uses": lambda now: pattern_token("door-*", now, uses=CROWD),
}


@pytest.mark.parametrize("scene", SAME_KEY.values(), ids=SAME_KEY)
def test_one_device_that_sends_its_request_many_times_at_once_gets_one_certificate(now, scene):
    secret, gadget = scene(now), Gadget("door-1")
    outcomes = enroll_all([gadget] * CROWD, secret, now)
    assert [type(outcome) for outcome in outcomes] == [Issued] * CROWD
    assert len({outcome.pem for outcome in outcomes}) == 1
    assert len(device_certificates()) == 1
    assert issued_events() == 1
    assert uses_of(secret) == 1
    assert EnrollmentRequest.objects.filter(state="issued").count() == 1


def test_two_administrators_who_approve_at_once_sign_one_certificate(now):
    set_policy(Profile.Policy.APPROVAL)
    waiting = Gadget("door-1").enroll(None, now)
    outcomes = at_once(*[partial(approval.approve, waiting.pk, TESTER, now)] * 2)
    assert len(serials(outcomes)) == 1
    assert {type(outcome) for outcome in outcomes} == {Issued, approval.NotWaiting}
    assert len(device_certificates()) == 1
    assert AuditEvent.objects.filter(kind="enrollment.approved").count() == 1


def test_an_approval_and_a_rejection_at_once_are_one_decision(now):
    set_policy(Profile.Policy.APPROVAL)
    waiting = Gadget("door-1").enroll(None, now)
    outcomes = at_once(
        partial(approval.approve, waiting.pk, TESTER, now),
        partial(approval.reject, waiting.pk, "No.", TESTER, now),
    )
    assert len([outcome for outcome in outcomes if isinstance(outcome, approval.NotWaiting)]) == 1
    waiting.refresh_from_db()
    assert len(device_certificates()) == (1 if waiting.state == "issued" else 0)


def test_one_device_that_asks_for_approval_many_times_at_once_waits_once(now):
    set_policy(Profile.Policy.APPROVAL)
    outcomes = enroll_all([Gadget("door-1")] * CROWD, None, now)
    assert {outcome.pk for outcome in outcomes} == {EnrollmentRequest.objects.get().pk}


KNOWN = pytest.mark.parametrize("known", [True, False], ids=["devices on record", "new names"])
ROUNDS = 5  # a race is not lost every time


@KNOWN
def test_an_open_name_that_many_keys_want_at_once_goes_to_one_of_them(now, known):
    set_policy(Profile.Policy.OPEN)
    for number in range(ROUNDS):
        name = f"door-{number}"
        if known:
            registered(name, now)
        assert len(serials(enroll_all(strangers(name), None, now))) == 1
        assert Certificate.objects.filter(device__name=name).count() == 1


@KNOWN
def test_one_device_that_enrolls_openly_many_times_at_once_gets_one_certificate(now, known):
    set_policy(Profile.Policy.OPEN)
    for number in range(ROUNDS):
        name = f"door-{number}"
        if known:
            registered(name, now)
        outcomes = enroll_all([Gadget(name)] * CROWD, None, now)
        assert Certificate.objects.filter(device__name=name).count() == 1
        assert [type(outcome) for outcome in outcomes] == [Issued] * CROWD


def test_a_certificate_that_many_revoke_at_once_is_revoked_once(now):
    certificate = issue(registered("door-1", now), now)
    reasons = [Revocation.Reason.KEY_COMPROMISE, Revocation.Reason.SUPERSEDED] * (CROWD // 2)
    outcomes = at_once(*(partial(revocation.revoke, [certificate], why, TESTER, now) for why in reasons))
    losers = [outcome for outcome in outcomes if isinstance(outcome, revocation.AlreadyRevoked)]
    assert len(losers) == CROWD - 1
    event = AuditEvent.objects.get(kind="certificate.revoked")
    assert event.detail["reason"] == Revocation.objects.get().reason


def test_a_refusal_that_many_get_at_once_is_counted_in_one_row(now):
    outcomes = enroll_all([Gadget("door-1")] * CROWD, "hatch_never-made", now)
    assert {type(outcome) for outcome in outcomes} == {tokens.TokenInvalid}
    assert [kept.count for kept in refused()] == [CROWD]


def test_different_devices_at_once_disturb_each_other_in_nothing(now):
    gadgets = strangers()
    jobs = [
        partial(enrollment.enroll, gadget.csr, token_for(registered(gadget.name, now), now), ADDRESS, now)
        for gadget in gadgets
    ]
    outcomes = at_once(*jobs)
    assert len(serials(outcomes)) == CROWD
    assert set(Certificate.objects.exclude(device=None).values_list("common_name", flat=True)) == {
        gadget.name for gadget in gadgets
    }


def test_one_key_that_many_devices_enroll_at_once_goes_to_one_of_them(now):
    for number in range(ROUNDS):
        key = Gadget().key
        gadgets = [Gadget(f"door-{number}-{each}", key) for each in range(CROWD)]
        jobs = [
            partial(enrollment.enroll, gadget.csr, token_for(registered(gadget.name, now), now), ADDRESS, now)
            for gadget in gadgets
        ]
        assert len(serials(at_once(*jobs))) == 1
