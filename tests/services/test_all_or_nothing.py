"""Nothing is answered before it is committed, and nothing is issued without its audit event."""

import json
import logging

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.db import transaction

from pki.keystore import KeystoreError, keystore
from pki.models import AuditEvent, Certificate, Device, EnrollmentRequest, Profile
from pki.services import audit
from pki.services.enrolling import approval, enrollment, tokens
from pki.services.fleet import devices
from pki.services.issuing import bootstrap, demo, issuance
from pki.services.revoking import revocation
from tests.services.cast import (
    TESTER,
    Gadget,
    at_once,
    change_state,
    device_certificates,
    everything,
    issue,
    pattern_token,
    registered,
    set_policy,
    token_for,
    uses_of,
)

pytestmark = pytest.mark.usefixtures("ca")


class DiskFull(Exception):
    """What goes wrong in these tests."""


@pytest.fixture
def broken(monkeypatch):
    """Break a step: what it does is done, and then fails."""

    def after(owner, name):
        real = getattr(owner, name)

        def step(*args, **kwargs):
            real(*args, **kwargs)
            raise DiskFull

        monkeypatch.setattr(owner, name, step)

    return after


STEPS = {
    "the claim of the token": (tokens, "claim"),
    "the certificate's row": (issuance, "store"),
    "the audit event": (audit, "record"),
    "the enrollment's row": (enrollment, "insert"),
    "the signature": (issuance.certificates, "end_entity"),
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("kind", ["bound", "pattern"])
def test_an_enrollment_that_fails_at_any_step_leaves_nothing_and_can_be_tried_again(
    now, broken, monkeypatch, step, kind
):
    secret = token_for(registered("door-1", now), now) if kind == "bound" else pattern_token("*", now)
    gadget = Gadget("door-1")
    before = everything()
    broken(*step)
    with pytest.raises(DiskFull):
        gadget.enroll(secret, now)
    assert everything() == before
    monkeypatch.undo()
    assert gadget.enroll(secret, now).certificate.device.name == "door-1"


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_an_approval_that_fails_leaves_the_request_waiting_and_nothing_else(now, broken, step):
    set_policy(Profile.Policy.APPROVAL)
    waiting = Gadget("door-1").enroll(None, now)
    before = everything()
    if step in (STEPS["the claim of the token"], STEPS["the enrollment's row"]):
        step = (EnrollmentRequest, "save")
    broken(*step)
    with pytest.raises(DiskFull):
        approval.approve(waiting.pk, TESTER, now)
    assert everything() == before


@pytest.mark.parametrize(
    "act",
    [
        lambda door, now: devices.register("door-2", door.profile, TESTER, now),
        lambda door, now: change_state(door, Device.State.SUSPENDED, now),
        lambda door, now: tokens.make(TESTER, now, door.profile, device=door),
        lambda door, now: tokens.cancel(door.tokens.get(), TESTER, now),
        lambda door, now: revocation.revoke(
            door.certificates.all(), revocation.Revocation.Reason.SUPERSEDED, TESTER, now
        ),
        lambda door, now: issue(door, now),
    ],
    ids=["register", "suspend", "make a token", "cancel a token", "revoke", "issue"],
)
def test_nothing_is_done_whose_audit_event_can_not_be_written(now, broken, act):
    door = registered("door-1", now)
    token_for(door, now)
    issue(door, now)
    before = everything()
    broken(audit, "record")
    broken(audit, "record_each")
    with pytest.raises(DiskFull):
        act(door, now)
    assert everything() == before


def test_a_key_that_does_not_open_spends_no_token(now, monkeypatch):
    secret = token_for(registered("door-1", now), now)

    def fails(*_):
        raise KeystoreError("The key file is gone.")

    monkeypatch.setattr(keystore(), "sign", fails)
    with pytest.raises(KeystoreError):
        Gadget("door-1").enroll(secret, now)
    assert uses_of(secret) == 0
    assert device_certificates() == []


@pytest.mark.django_db(transaction=True)
def test_what_is_answered_is_committed(now):
    secret = token_for(registered("door-1", now), now)
    issued = Gadget("door-1").enroll(secret, now)
    assert not transaction.get_connection().in_atomic_block
    # What another connection sees is committed.
    stored = []

    def look():
        stored.extend(Certificate.objects.filter(pk=issued.certificate.pk))
        stored.extend(AuditEvent.objects.filter(certificate=issued.certificate))

    at_once(look)
    assert len(stored) == 2


def test_every_certificate_has_one_event_of_its_issue_whatever_way_it_was_issued(ca, now):
    demo.make(ca / "demo", TESTER, now)
    by_token, by_pattern = registered("by-token", now), pattern_token("by-*", now)
    Gadget("by-token").enroll(token_for(by_token, now), now)
    Gadget("by-pattern").enroll(by_pattern, now)
    issue(registered("by-shell", now), now)
    set_policy(Profile.Policy.OPEN)
    Gadget("by-nothing").enroll(None, now)
    set_policy(Profile.Policy.APPROVAL)
    approval.approve(Gadget("by-approval").enroll(None, now).pk, TESTER, now)
    bootstrap.bootstrap(ca, ["hello"], ["another.example"], "", TESTER, now)

    names = set(Certificate.objects.values_list("common_name", flat=True))
    assert {"by-token", "by-pattern", "by-shell", "by-nothing", "by-approval", demo.DEVICE} < names
    assert "another.example" in names
    for certificate in Certificate.objects.all():
        event = AuditEvent.objects.get(kind="certificate.issued", certificate=certificate)
        assert event.device == certificate.device
        assert event.detail["fingerprint"] == certificate.fingerprint


# --- The log line of an event ---------------------------------------------------------------------


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, logger=audit.log.name)
    return lambda: [record.message for record in caplog.records if record.name == audit.log.name]


def test_an_event_is_a_line_in_the_log_once_it_is_committed(now, lines, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        audit.record("test.happened", TESTER, now, reason="because")
        assert lines() == []
    (line,) = lines()
    kind, words = line.split(" ", 1)
    assert kind == "test.happened"
    assert json.loads(words) == {"actor": TESTER.name, "reason": "because"}


def test_an_event_that_was_rolled_back_is_not_in_the_log(now, lines, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        audit.record("test.happened", TESTER, now)
        transaction.set_rollback(True)
    assert lines() == []


def test_a_name_with_line_breaks_can_not_forge_a_line_of_the_log(
    now, lines, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        audit.record("test.happened", TESTER, now, name="door\n2026-01-01 INFO certificate.issued {}")
    assert len(lines()[0].splitlines()) == 1


def test_a_token_and_a_private_key_are_in_no_line_of_the_log(
    now, caplog, lines, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        secret = token_for(registered("door-1", now), now)
        gadget = Gadget("door-1", key=ec.generate_private_key(ec.SECP256R1()))
        gadget.enroll(secret, now)
        with pytest.raises(enrollment.tokens.TokenInvalid):
            Gadget("door-1").enroll(secret, now)
    assert any("certificate.issued" in line for line in lines())
    assert secret not in caplog.text
    assert "PRIVATE KEY" not in caplog.text
