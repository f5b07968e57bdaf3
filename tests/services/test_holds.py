"""Holds: the one revocation that ends. It is lifted, or becomes one for good; nothing else changes."""

from functools import partial

import pytest
from django.db import IntegrityError, connection, transaction

from pki.models import AuditEvent, Certificate, Issuer, Revocation, SubjectAltName
from pki.services.issuing import issuance
from pki.services.proving import status
from pki.services.revoking import revocation
from pki.services.revoking.revocation import HOLD
from tests.services.cast import (
    DAY,
    SECOND,
    TESTER,
    Gadget,
    at_once,
    everything,
    issue,
    registered,
    token_for,
)

Reason = Revocation.Reason
FOR_GOOD = [reason for reason in Reason if reason != HOLD]


@pytest.fixture
def door(ca, now):
    return registered("door-1", now)


@pytest.fixture
def held(door, now):
    certificate = issue(door, now)
    revocation.revoke([certificate], HOLD, TESTER, now, note="Seen at the wrong site.")
    return certificate


def is_good(certificate, now):
    try:
        return bool(status.standing(certificate.fingerprint, now))
    except status.RevokedCertificate:
        return False


def test_a_hold_stops_a_certificate_until_it_is_lifted(held, now):
    assert not is_good(held, now)
    assert revocation.lift([held], TESTER, now + DAY) == 1
    assert is_good(held, now)
    assert not Revocation.objects.exists()


def test_when_and_why_it_was_held_stays_on_record(held, now):
    revocation.lift([held], TESTER, now + DAY, note="It was a test.")
    event = AuditEvent.objects.get(kind="certificate.hold_lifted")
    assert (event.certificate, event.device, event.at) == (held, held.device, now + DAY)
    assert event.detail["held_since"] == now.isoformat(timespec="seconds")
    assert event.detail["held_because"] == "Seen at the wrong site."
    assert event.detail["note"] == "It was a test."


@pytest.mark.parametrize("reason", FOR_GOOD)
def test_nothing_else_can_be_lifted(door, held, now, reason):
    other = issue(door, now)
    revocation.revoke([other], reason, TESTER, now)
    before = everything()
    for chosen in ([other], [held, other], [other, held], []):
        with pytest.raises(revocation.NotHeld):
            revocation.lift(chosen, TESTER, now)
        assert everything() == before


def test_what_is_not_revoked_is_not_held(door, now):
    with pytest.raises(revocation.NotHeld):
        revocation.lift([issue(door, now)], TESTER, now)


def test_a_hold_is_lifted_once(held, now):
    revocation.lift([held], TESTER, now)
    with pytest.raises(revocation.NotHeld):
        revocation.lift([held], TESTER, now)
    assert AuditEvent.objects.filter(kind="certificate.hold_lifted").count() == 1


@pytest.mark.parametrize("reason", FOR_GOOD)
def test_what_is_held_can_be_revoked_for_good_since_the_hold_began(held, now, reason):
    (revoked,) = revocation.revoke([held], reason, TESTER, now + DAY)
    kept = Revocation.objects.get()
    assert kept.pk == revoked.pk
    assert (kept.reason, kept.revoked_at) == (reason, now)
    event = AuditEvent.objects.filter(kind="certificate.revoked").latest("pk")
    assert (event.detail["reason"], event.detail["held_since"]) == (
        str(reason),
        now.isoformat(timespec="seconds"),
    )
    with pytest.raises(revocation.NotHeld):
        revocation.lift([held], TESTER, now + DAY)


def test_what_is_held_is_not_held_again(held, now):
    with pytest.raises(revocation.AlreadyRevoked):
        revocation.revoke([held], HOLD, TESTER, now + DAY)
    assert Revocation.objects.get().revoked_at == now


def test_a_key_that_was_held_and_then_found_compromised_is_never_certified_again(door, now):
    gadget = Gadget("door-1")
    certificate = gadget.enroll(token_for(door, now), now).certificate
    revocation.revoke([certificate], HOLD, TESTER, now)
    revocation.revoke([certificate], Reason.KEY_COMPROMISE, TESTER, now)
    with pytest.raises(issuance.KeyCompromised):
        gadget.enroll(token_for(door, now), now)


def test_what_is_held_is_revoked_with_all_that_a_device_has(door, held, now):
    living = issue(door, now)
    gone = issue(door, now)
    revocation.revoke([gone], Reason.SUPERSEDED, TESTER, now)
    issue(door, now - 60 * DAY)  # expired
    issue(registered("door-2", now), now)
    devices = type(door).objects.filter(pk=door.pk)
    assert set(revocation.revocable(devices, now)) == {held, living}


def revoke_all(door, reason, now):
    chosen = revocation.revocable(type(door).objects.filter(pk=door.pk), now)
    return revocation.revoke_all(chosen, reason, TESTER, now, "Lost.")


@pytest.mark.parametrize("number", [1, 2, 5])
def test_more_than_one_transaction_takes_is_revoked_in_several(door, now, monkeypatch, number):
    monkeypatch.setattr(revocation, "MOST_AT_ONCE", 2)
    elsewhere = issue(registered("door-2", now), now)
    wanted = {issue(door, now).pk for _ in range(number)}
    assert revoke_all(door, Reason.SUPERSEDED, now) == number
    assert set(Revocation.objects.values_list("certificate", flat=True)) == wanted
    assert not hasattr(elsewhere, "revocation")
    with pytest.raises(revocation.AlreadyRevoked):
        revoke_all(door, Reason.SUPERSEDED, now)


def test_many_can_be_held_though_some_are_held_already(door, held, now, monkeypatch):
    monkeypatch.setattr(revocation, "MOST_AT_ONCE", 1)
    for _ in range(2):
        issue(door, now)
    assert revoke_all(door, HOLD, now) == 2
    with pytest.raises(revocation.AlreadyRevoked):
        revoke_all(door, HOLD, now)


def test_what_was_revoked_of_many_before_it_broke_off_stays_so(door, now, monkeypatch):
    monkeypatch.setattr(revocation, "MOST_AT_ONCE", 2)
    for _ in range(3):
        issue(door, now)
    record = revocation.audit.record_each

    def full_disk(*args, **options):
        if Revocation.objects.count() == 3:
            raise OSError("No space left on device")
        record(*args, **options)

    monkeypatch.setattr(revocation.audit, "record_each", full_disk)
    with pytest.raises(OSError, match="No space"):
        revoke_all(door, Reason.SUPERSEDED, now)
    assert Revocation.objects.count() == 2
    monkeypatch.setattr(revocation.audit, "record_each", record)
    assert revoke_all(door, Reason.SUPERSEDED, now) == 1


@pytest.mark.django_db(transaction=True)
def test_a_hold_that_is_lifted_and_revoked_at_once_ends_one_way(ca, now):
    for number in range(3):
        certificate = issue(registered(f"door-{number}", now), now)
        revocation.revoke([certificate], HOLD, TESTER, now)
        outcomes = at_once(
            partial(revocation.lift, [certificate], TESTER, now),
            partial(revocation.revoke, [certificate], Reason.KEY_COMPROMISE, TESTER, now),
            partial(revocation.lift, [certificate], TESTER, now),
        )
        assert not is_good(certificate, now)
        assert Revocation.objects.get(certificate=certificate).reason == Reason.KEY_COMPROMISE
        lifted = [outcome for outcome in outcomes if outcome == 1]
        assert len(lifted) <= 1
        events = AuditEvent.objects.filter(certificate=certificate, kind="certificate.hold_lifted")
        assert events.count() == len(lifted)


@pytest.mark.django_db(transaction=True)
def test_two_who_revoke_the_same_many_at_once_revoke_each_once(ca, now):
    certificates = [issue(registered(f"door-{number}", now), now) for number in range(6)]
    at_once(
        partial(revocation.revoke, certificates, Reason.SUPERSEDED, TESTER, now),
        partial(revocation.revoke, certificates[::-1], Reason.KEY_COMPROMISE, TESTER, now),
        partial(revocation.revoke, certificates[2:], Reason.UNSPECIFIED, TESTER, now + SECOND),
    )
    events = AuditEvent.objects.filter(kind="certificate.revoked")
    assert sorted(events.values_list("certificate", flat=True)) == [each.pk for each in certificates]
    for kept in Revocation.objects.all():
        assert events.get(certificate=kept.certificate).detail["reason"] == kept.reason
    assert Revocation.objects.count() == len(certificates)


def test_many_are_revoked_in_few_queries(ca, now, django_assert_max_num_queries):
    certificates = [issue(registered(f"door-{number}", now), now) for number in range(30)]
    with django_assert_max_num_queries(8):
        assert len(revocation.revoke(certificates, Reason.SUPERSEDED, TESTER, now)) == 30


def test_every_one_of_many_is_on_a_log_line(door, now, caplog, django_capture_on_commit_callbacks):
    certificates = [issue(door, now) for _ in range(3)]
    with caplog.at_level("WARNING", "hatchery.audit"), django_capture_on_commit_callbacks(execute=True):
        revocation.revoke(certificates, Reason.SUPERSEDED, TESTER, now)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3
    for certificate in certificates:
        assert any(certificate.serial in line and "door-1" in line for line in lines)


# --- Held by the database -------------------------------------------------------------------------


@pytest.mark.parametrize("reason", Reason)
def test_of_revocations_the_database_lets_go_of_holds_alone(door, now, reason):
    certificate = issue(door, now)
    revocation.revoke([certificate], reason, TESTER, now)
    if reason == HOLD:
        assert Revocation.objects.all().delete()[0] == 1
        return
    with pytest.raises(IntegrityError, match="never deleted"), transaction.atomic():
        Revocation.objects.all().delete()
    with pytest.raises(IntegrityError, match="never deleted"), transaction.atomic():
        Revocation.objects.get().delete()
    assert Revocation.objects.count() == 1


@pytest.mark.parametrize("model", [AuditEvent, Certificate, Issuer, SubjectAltName])
def test_what_was_signed_or_recorded_is_not_deleted_by_sql(ca, model):
    number = model.objects.count()
    assert number
    with (
        pytest.raises(IntegrityError, match="never deleted"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"DELETE FROM {model._meta.db_table}")  # noqa: S608
    assert model.objects.count() == number
