"""Events get their places in the chain after the fact, and checkpoints are signed over them."""

import pytest
from django.db import IntegrityError

from pki.keystore import KeystoreError, keystore
from pki.models import AuditChain, AuditCheckpoint, AuditEvent, AuditSeal
from pki.services import audit
from pki.services.auditing import chain as chains
from pki.services.auditing import sealing, verifying
from pki.services.transactions import alone
from tests.server import seen_within
from tests.services.auditing.trail import MINUTE, faults, go_on_after_the_highest, numbers_sealed
from tests.services.cast import DAY, TESTER, registered


def test_all_that_is_on_record_is_sealed_in_its_order(sealed):
    events = list(AuditEvent.objects.order_by("pk").values_list("pk", flat=True))
    assert numbers_sealed() == list(enumerate(events, 1))
    checker = verifying.checked([], sealed)
    assert (checker.faults, checker.proven, checker.unsealed) == ([], len(events), 0)


def test_what_is_old_is_sealed_at_the_first_run(ca, now):
    events = AuditEvent.objects.count()
    assert events > 0
    assert sealing.seal(now) == events
    assert AuditCheckpoint.objects.get().count == events


def test_it_is_sealed_in_batches_and_signed_once(ca, now, monkeypatch):
    monkeypatch.setattr(chains, "BATCH", 2)
    for number in range(5):
        registered(f"door-{number}", now)
    sealing.seal(now)
    assert AuditCheckpoint.objects.get().count == AuditSeal.objects.count() >= 5
    assert faults(now) == []


def test_a_run_that_was_broken_off_is_gone_on_with(ca, now, monkeypatch):
    monkeypatch.setattr(chains, "BATCH", 2)
    rows, seen = chains.event_of, []

    def breaks(row):
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(row)
        return rows(row)

    monkeypatch.setattr(chains, "event_of", breaks)
    with pytest.raises(KeyboardInterrupt):
        sealing.seal(now)
    assert (AuditSeal.objects.count(), AuditCheckpoint.objects.count()) == (2, 0)
    monkeypatch.setattr(chains, "event_of", rows)
    sealing.seal(now)
    assert faults(now) == []
    assert AuditSeal.objects.filter(event__in=AuditEvent.objects.all()).count() >= 5


def test_one_that_is_committed_late_gets_the_next_place(ca, now):
    """On PostgreSQL it may have a lower number than those before it; here it is put there by hand."""
    AuditEvent.objects.bulk_create(
        AuditEvent(pk=pk, at=now, kind="test.done", actor="test") for pk in (101, 103)
    )
    go_on_after_the_highest()
    sealing.seal(now)
    chain = AuditChain.objects.get()
    AuditChain.objects.update(sealed_below=100, settling_below=chain.settling_below)
    AuditEvent.objects.create(pk=102, at=now, kind="test.late", actor="test")
    sealing.seal(now + MINUTE)
    assert [event for _, event in numbers_sealed() if 101 <= event <= 103] == [101, 103, 102]
    assert faults(now + MINUTE) == []


@pytest.mark.django_db(transaction=True)
def test_after_a_restore_elsewhere_what_is_sealed_is_not_read_again_for_ever(ca, now):
    """Another cluster of PostgreSQL counts its transactions anew."""
    sealing.seal(now)
    AuditChain.objects.update(settled_by=10**15)
    audit.record("test.event", TESTER, now)
    assert settles_above(AuditEvent.objects.latest("pk").pk - 1, now)


def test_nothing_new_signs_nothing_until_a_day_has_passed(sealed):
    sealing.seal(sealed + MINUTE)  # that a key was made
    number = AuditCheckpoint.objects.count()
    assert sealing.seal(sealed + 2 * MINUTE) == 0
    assert AuditCheckpoint.objects.count() == number
    sealing.seal(sealed + DAY + 2 * MINUTE)
    assert AuditCheckpoint.objects.count() == number + 1
    assert faults(sealed + DAY) == []


def test_two_that_seal_at_once_are_one(ca, now):
    with alone("audit") as free:
        assert free
        assert sealing.seal(now) == 0
    assert AuditSeal.objects.count() == 0


def test_no_event_has_two_places_and_no_place_two_events(sealed):
    first = AuditSeal.objects.get(position=1)
    for position, event in ((1, 10_000), (10_000, first.event_id)):
        with pytest.raises(IntegrityError), audit.transaction.atomic():
            AuditSeal.objects.create(position=position, event_id=event, hash=b"")


def test_where_no_key_is_events_are_sealed_all_the_same(ca, now, monkeypatch):
    def without(*args):
        raise KeystoreError("It does not open.")

    monkeypatch.setattr(keystore(), "sign_statement", without)
    with pytest.raises(KeystoreError):
        sealing.seal(now)
    assert AuditSeal.objects.count() == AuditEvent.objects.count()
    monkeypatch.undo()
    sealing.seal(now)
    assert faults(now) == []


def settles_above(number, now):
    """On PostgreSQL it does some runs later: other tests of the same cluster have transactions open."""

    def settled():
        sealing.seal(now)
        return AuditChain.objects.get().sealed_below > number

    return seen_within(20, settled)
