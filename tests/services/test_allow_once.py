"""Allowing once what was refused: one rule is waived for one CSR, and no other rule for nobody else."""

from functools import partial

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from pki.core import profiles
from pki.core.errors import Refusal
from pki.models import AuditEvent, Certificate, Device, EnrollmentRequest, Profile, Revocation
from pki.services.audit import Actor
from pki.services.enrolling import approval, enrollment, tokens, waivers
from pki.services.fleet import devices, rotation
from pki.services.issuing import issuance
from pki.services.revoking import revocation
from tests.clients import make_csr
from tests.services.cast import (
    ADDRESS,
    DAY,
    ELSEWHERE,
    TESTER,
    Gadget,
    at_once,
    change_state,
    device_certificates,
    everything,
    issue,
    pattern_token,
    refused,
    registered,
    set_policy,
    token_for,
)


@pytest.fixture
def ada(ca):
    return Actor.administrator(User.objects.create_user("ada"), "192.0.2.1")


def turned_away(gadget, secret, now):
    """The row of a gadget's enrollment that was refused this moment."""
    known = {row.pk for row in refused()}
    with pytest.raises(Refusal):
        gadget.enroll(secret, now)
    (row,) = [row for row in refused() if row.pk not in known]
    return row


def used_up(now):
    secret = token_for(registered("door-1", now), now)
    Gadget("door-1").enroll(secret, now)
    return secret


def rejected(now):
    set_policy(Profile.Policy.APPROVAL)
    gadget = Gadget("door-1")
    approval.reject(gadget.enroll(None, now).pk, "No.", TESTER, now)
    return gadget, None


def of_another_kind(now):
    Profile.objects.filter(name="device").update(key_kinds=["P-256"])
    key = rsa.generate_private_key(65537, 2048)
    return Gadget("door-1", key), token_for(registered("door-1", now), now)


def enrolled_openly(now):
    set_policy(Profile.Policy.OPEN)
    Gadget("door-1").enroll(None, now)
    return Gadget("door-1"), None


def too_many(now):
    set_policy(Profile.Policy.APPROVAL)
    Gadget("door-0").enroll(None, now)
    return Gadget("door-1"), None


# The rule → a gadget that breaks it, and the secret that it sends.
BROKEN = {
    "token_missing": lambda now: (Gadget("door-1"), None),
    "token_invalid": lambda now: (Gadget("door-1"), "hatch_never-made"),
    "token_invalid, used up": lambda now: (Gadget("door-1"), used_up(now)),
    "name_not_allowed": lambda now: (Gadget("door-1"), pattern_token("lamp-*", now)),
    "device_exists": lambda now: (
        registered("door-1", now),
        (Gadget("door-1"), pattern_token("door-*", now)),
    )[1],
    "already_enrolled": enrolled_openly,
    "name_mismatch": lambda now: (Gadget("gate-1"), token_for(registered("door-1", now), now)),
    "key_refused": of_another_kind,
    "enrollment_rejected": rejected,
    "too_many_waiting": too_many,
}
of_each_rule = pytest.mark.parametrize(("code", "scene"), BROKEN.items(), ids=BROKEN)


def test_every_rule_that_may_be_waived_is_tried_here():
    assert {code.partition(",")[0] for code in BROKEN} == waivers.WAIVABLE


@of_each_rule
def test_who_is_allowed_once_gets_the_certificate_for_the_same_csr(ada, now, monkeypatch, code, scene):
    monkeypatch.setattr(enrollment, "MOST_WAITING", 1)
    gadget, secret = scene(now)
    pem = gadget.csr
    with pytest.raises(Refusal):
        enrollment.enroll(pem, secret, ADDRESS, now)
    row = EnrollmentRequest.objects.get(state="refused")
    assert row.code == code.partition(",")[0]

    issued = waivers.allow_once(row.pk, ada, now)
    assert issued.certificate.common_name == "door-1", "it carries the name on record"
    assert issued.certificate.device.name == "door-1"
    assert issued.certificate.parsed.public_key() == gadget.key.public_key()
    assert enrollment.enroll(pem, secret, ADDRESS, now).pem == issued.pem

    row.refresh_from_db()
    assert (row.state, row.waived, row.decided_by, row.certificate) == (
        "issued",
        row.code,
        ada.user,
        issued.certificate,
    )
    event = AuditEvent.objects.get(kind="enrollment.allowed_once")
    assert (event.actor, event.device, event.certificate) == (
        "administrator:ada",
        issued.certificate.device,
        issued.certificate,
    )
    assert event.detail["rule"] == row.waived


def test_who_was_rejected_is_allowed_after_all(ada, now):
    gadget, _ = rejected(now)
    row = EnrollmentRequest.objects.get(state="rejected")
    issued = waivers.allow_once(row.pk, ada, now)
    assert gadget.enroll(None, now).pem == issued.pem


@pytest.mark.parametrize("sent", ["nothing", "a wrong token", "a token of another device", "from elsewhere"])
def test_what_the_device_sends_along_does_not_matter_then(ada, now, sent):
    pem = Gadget("door-1").csr
    with pytest.raises(Refusal):
        enrollment.enroll(pem, None, ADDRESS, now)
    issued = waivers.allow_once(refused()[0].pk, ada, now)
    secret = {
        "a wrong token": lambda: "hatch_wrong",
        "a token of another device": lambda: token_for(registered("gate-1", now), now),
    }.get(sent, lambda: None)()
    address = ELSEWHERE if sent == "from elsewhere" else ADDRESS
    assert enrollment.enroll(pem, secret, address, now).pem == issued.pem
    assert len(device_certificates()) == 1
    assert refused() == []


def test_the_same_csr_may_be_signed_anew(ada, now):
    """An ECDSA signature is another each time: a device may make its CSR anew at each attempt."""
    gadget = Gadget("door-1")
    issued = waivers.allow_once(turned_away(gadget, None, now).pk, ada, now)
    assert gadget.csr != gadget.csr
    assert gadget.enroll(None, now).pem == issued.pem


def test_another_csr_of_the_same_key_is_not_what_was_allowed(ada, now):
    gadget = Gadget("door-1")
    waivers.allow_once(turned_away(gadget, None, now).pk, ada, now)
    more = [x509.DNSName("door.example")]
    for other in (make_csr("gate-1", key=gadget.key), make_csr("door-1", key=gadget.key, sans=more)):
        with pytest.raises(tokens.TokenMissing):
            enrollment.enroll(other, None, ADDRESS, now)


def test_nobody_else_is_let_in(ada, now):
    waivers.allow_once(turned_away(Gadget("door-1"), None, now).pk, ada, now)
    with pytest.raises(tokens.TokenMissing):
        Gadget("door-1").enroll(None, now)
    with pytest.raises(tokens.TokenMissing):
        Gadget("gate-1").enroll(None, now)


ENDED = {
    "revoked": lambda certificate, now: revocation.revoke(
        [certificate], Revocation.Reason.SUPERSEDED, TESTER, now
    ),
    "compromised": lambda certificate, now: revocation.revoke(
        [certificate], Revocation.Reason.KEY_COMPROMISE, TESTER, now
    ),
    "held": lambda certificate, now: revocation.revoke([certificate], revocation.HOLD, TESTER, now),
    "its device suspended": lambda certificate, now: change_state(certificate.device, "suspended", now),
}


@pytest.mark.parametrize("end", ENDED.values(), ids=ENDED)
def test_what_was_allowed_is_not_given_once_it_is_no_good(ada, now, end):
    pem = Gadget("door-1").csr
    with pytest.raises(Refusal):
        enrollment.enroll(pem, None, ADDRESS, now)
    issued = waivers.allow_once(refused()[0].pk, ada, now)
    end(issued.certificate, now)
    with pytest.raises(tokens.TokenMissing):
        enrollment.enroll(pem, None, ADDRESS, now)
    assert len(refused()) == 1, "that is a new refusal, beside the one that was decided"


def test_what_was_allowed_is_not_given_once_it_has_expired(ada, now):
    pem = Gadget("door-1").csr
    with pytest.raises(Refusal):
        enrollment.enroll(pem, None, ADDRESS, now)
    issued = waivers.allow_once(refused()[0].pk, ada, now)
    with pytest.raises(tokens.TokenMissing):
        enrollment.enroll(pem, None, ADDRESS, issued.certificate.not_after + DAY)


def test_who_enrolls_without_a_fault_pays_no_query_for_it(ca, now):
    secret = token_for(registered("door-1", now), now)
    with CaptureQueriesContext(connection) as asked:
        Gadget("door-1").enroll(secret, now)
    assert not [each["sql"] for each in asked if "waived" in each["sql"].partition("WHERE")[2]]
    with CaptureQueriesContext(connection) as asked:
        turned_away(Gadget("door-1"), None, now)
    assert [each["sql"] for each in asked if "waived" in each["sql"].partition("WHERE")[2]]


# --- All other rules hold -------------------------------------------------------------------------


def suspended(now):
    gadget = Gadget("door-1")
    row = turned_away(gadget, None, now)
    change_state(registered("door-1", now), "suspended", now)
    return row


def compromised(now):
    gadget = Gadget("door-1")
    enrolled = gadget.enroll(token_for(registered("door-1", now), now), now)
    row = turned_away(gadget, None, now)
    revocation.revoke([enrolled.certificate], Revocation.Reason.KEY_COMPROMISE, TESTER, now)
    return row


def key_of_another(now):
    gadget = Gadget("door-1")
    gadget.enroll(token_for(registered("door-1", now), now), now)
    return turned_away(Gadget("gate-1", gadget.key), None, now)


def kind_not_allowed(now):
    row = turned_away(Gadget("door-1"), None, now)
    Profile.objects.filter(name="device").update(key_kinds=["RSA"])
    return row


def nameless(now):
    return turned_away(Gadget(None), None, now)


def pattern_of_others(now):
    secret = pattern_token("lamp-*", now)
    Gadget("lamp-1").enroll(secret, now)
    return turned_away(Gadget("door-1"), secret, now)


def pattern_and_known(now):
    secret = pattern_token("lamp-*", now)
    Gadget("lamp-1").enroll(secret, now)
    return turned_away(Gadget("lamp-1"), secret, now)


def cancelled_since(now):
    secret = pattern_token("lamp-*", now)
    row = turned_away(Gadget("door-1"), secret, now)
    tokens.cancel(row.token, TESTER, now)
    return row


def inactive_issuer(now):
    row = turned_away(Gadget("door-1"), None, now)
    issuer = devices.default_profile().issuer
    type(issuer).objects.filter(pk=issuer.pk).update(state="retired")
    return row


OTHERS = {
    "the device is suspended": (suspended, issuance.DeviceInactive),
    "the key is compromised": (compromised, issuance.KeyCompromised),
    "the key is another device's": (key_of_another, issuance.KeyInUse),
    "the key's kind is not allowed": (kind_not_allowed, profiles.KeyKindRefused),
    "nobody knows its name": (nameless, enrollment.NameMissing),
    "a used-up token for other names": (pattern_of_others, tokens.NameNotAllowed),
    "a used-up token for new devices": (pattern_and_known, devices.DeviceExists),
    "a token that was cancelled since": (cancelled_since, waivers.NotWaivable),
    "the issuer is retired": (inactive_issuer, issuance.IssuerInactive),
}


@pytest.mark.parametrize(("scene", "why"), OTHERS.values(), ids=OTHERS)
def test_another_rule_that_is_broken_as_well_is_not_waived_as_well(ada, now, scene, why):
    row = scene(now)
    assert waivers.may_be_allowed(row)
    before = everything()
    with pytest.raises(why):
        waivers.allow_once(row.pk, ada, now)
    assert everything() == before


def never(now):
    """Refusals whose rule is never waived."""
    gate = registered("gate-1", now)
    gadget = Gadget("gate-1")
    first = gadget.enroll(token_for(gate, now), now)
    yield turned_away(Gadget("door-1", gadget.key), token_for(registered("door-1", now), now), now)
    revocation.revoke([first.certificate], Revocation.Reason.KEY_COMPROMISE, TESTER, now)
    yield turned_away(gadget, token_for(gate, now), now)
    secret = token_for(gate, now)
    change_state(gate, "suspended", now)
    yield turned_away(Gadget("gate-1"), secret, now)
    yield turned_away(Gadget("no name/"), None, now)
    hall = registered("hall-1", now)
    keeper = Gadget("hall-1")
    keeper.enroll(token_for(hall, now), now)
    secret, _ = rotation.request_with_token(hall, TESTER, now)
    yield turned_away(keeper, secret, now)


def test_a_rule_that_keeps_keys_and_devices_safe_is_never_waived(ada, now):
    codes = set()
    for row in never(now):
        codes.add(row.code)
        assert not waivers.may_be_allowed(row)
        before = everything()
        with pytest.raises(waivers.NotWaivable):
            waivers.allow_once(row.pk, ada, now)
        assert everything() == before
    assert codes == {"key_in_use", "key_compromised", "key_not_new", "device_inactive", "name_refused"}


def test_without_a_csr_there_is_nothing_to_allow(ada, now):
    with pytest.raises(Refusal):
        enrollment.enroll(b"nonsense", None, ADDRESS, now)
    with pytest.raises(waivers.NotWaivable, match="no CSR"):
        waivers.allow_once(refused()[0].pk, ada, now)


@pytest.mark.parametrize("decided", ["waiting", "issued"])
def test_only_what_was_refused_is_allowed(ada, now, decided):
    set_policy(Profile.Policy.APPROVAL)
    row = Gadget("door-1").enroll(None, now)
    if decided == "issued":
        approval.approve(row.pk, TESTER, now)
    with pytest.raises(waivers.NotWaivable):
        waivers.allow_once(row.pk, ada, now)


def test_allowing_twice_issues_once(ada, now):
    row = turned_away(Gadget("door-1"), None, now)
    waivers.allow_once(row.pk, ada, now)
    with pytest.raises(waivers.NotWaivable):
        waivers.allow_once(row.pk, ada, now)
    assert len(device_certificates()) == 1


@pytest.mark.django_db(transaction=True)
def test_two_administrators_who_allow_at_once_sign_one_certificate(ca, now):
    row = turned_away(Gadget("door-1"), None, now)
    outcomes = at_once(*[partial(waivers.allow_once, row.pk, TESTER, now)] * 2)
    assert len([each for each in outcomes if isinstance(each, waivers.NotWaivable)]) == 1
    assert Certificate.objects.exclude(device=None).count() == 1
    assert AuditEvent.objects.filter(kind="enrollment.allowed_once").count() == 1


def test_a_device_on_record_keeps_what_it_has(ada, now):
    door = registered("door-1", now)
    earlier = issue(door, now)
    issued = waivers.allow_once(turned_away(Gadget("door-1"), None, now).pk, ada, now)
    assert issued.certificate.device == door
    assert set(revocation.living(door, now)) == {earlier, issued.certificate}
    assert Device.objects.filter(name="door-1").count() == 1


def test_a_later_refusal_is_not_counted_in_a_row_that_was_decided(ada, now):
    gadget = Gadget("door-1")
    row = turned_away(gadget, None, now)
    issued = waivers.allow_once(row.pk, ada, now)
    revocation.revoke([issued.certificate], Revocation.Reason.SUPERSEDED, TESTER, now)
    again = turned_away(gadget, None, now)
    assert again.pk != row.pk
    row.refresh_from_db()
    assert row.count == 1
