"""Standby keys are made ahead, and each is used for one certificate."""

import pytest
from django.db import connection, transaction

from pki.core import pins
from pki.keystore import keystore
from pki.models import AuditEvent, StandbyKey
from pki.services.transactions import writing
from pki.services.trusting import standby_keys
from tests.services.cast import DAY, SECOND, TESTER, at_once

PURPOSE = "listener-imagined"
SPEC = "P-256"


@pytest.fixture
def folder(settings, tmp_path):
    settings.PORTAL_DATA_DIR = tmp_path
    keystore.cache_clear()
    yield tmp_path
    keystore.cache_clear()


def prepare(now, spec=SPEC):
    standby_keys.prepare(PURPOSE, spec, now)


def take(now, spec=SPEC):
    with writing():
        return standby_keys.take(PURPOSE, spec, now)


def waiting():
    return list(standby_keys.waiting().filter(purpose=PURPOSE).values_list("key_reference", flat=True))


def promised(now):
    return list(standby_keys.promised(now).values_list("key_reference", flat=True))


def lose(folder, reference):
    (folder / "keys" / f"{reference.removeprefix('file:')}.pem").unlink()


@pytest.mark.django_db
class TestAlone:
    def test_one_is_made_ahead_and_no_second(self, folder, now):
        prepare(now)
        (reference,) = waiting()
        prepare(now + SECOND)
        assert waiting() == [reference]
        kept = StandbyKey.objects.get()
        assert kept.spki_sha256 == pins.spki_sha256(keystore().public_key(reference))
        assert (kept.spec, kept.made_at, kept.used_at) == (SPEC, now, None)

    def test_it_is_the_one_that_is_taken_and_once(self, folder, now):
        prepare(now)
        (reference,) = waiting()
        assert take(now + SECOND) == reference
        assert waiting() == []
        assert StandbyKey.objects.get().used_at == now + SECOND
        assert take(now + SECOND) != reference

    def test_the_oldest_is_taken_first(self, folder, now):
        references = []
        for _ in range(2):
            references.append(keystore().create(PURPOSE, SPEC))
            standby_keys._store(references[-1], PURPOSE, SPEC, now, used_at=None)
        assert [take(now), take(now)] == references

    def test_where_none_waits_a_new_one_is_taken(self, folder, now):
        reference = take(now)
        assert keystore().has(reference)
        assert waiting() == []

    def test_one_of_another_kind_goes_on_waiting(self, folder, now):
        prepare(now)
        (reference,) = waiting()
        assert take(now, "P-384") != reference
        assert waiting() == [reference]

    def test_one_of_another_purpose_goes_on_waiting(self, folder, now):
        standby_keys.prepare(standby_keys.ROOT, SPEC, now)
        take(now)
        assert [key.purpose for key in standby_keys.waiting()] == [standby_keys.ROOT]

    def test_one_of_another_node_is_not_taken_here_and_goes_on_waiting(self, folder, now):
        prepare(now)
        (elsewhere,) = waiting()
        lose(folder, elsewhere)
        prepare(now)
        assert len(waiting()) == 2, "this node has one of its own"
        assert take(now) != elsewhere
        assert waiting() == [elsewhere], "its pin is a backup as before"

    def test_one_that_no_node_has_for_a_month_is_promised_no_more_until_it_comes_back(self, folder, now):
        prepare(now)
        (reference,) = waiting()
        path = folder / "keys" / f"{reference.removeprefix('file:')}.pem"
        kept = path.read_bytes()
        path.unlink()
        assert standby_keys.say_which_are_here(now + 29 * DAY) == 0
        assert promised(now + 29 * DAY) == [reference]
        assert promised(now + standby_keys.LOST_AFTER) == []
        path.write_bytes(kept)
        keystore.cache_clear()
        assert standby_keys.say_which_are_here(now + 40 * DAY) == 1
        assert promised(now + 40 * DAY) == [reference]
        assert take(now + 40 * DAY) == reference

    def test_what_is_here_is_said_once_a_day_and_stays_promised(self, folder, now):
        prepare(now)
        for days in range(1, 60):
            assert standby_keys.say_which_are_here(now + days * DAY) == 1
            assert standby_keys.say_which_are_here(now + days * DAY + SECOND) == 0
            assert len(promised(now + days * DAY)) == 1

    def test_one_that_is_withdrawn_is_neither_promised_nor_taken_and_another_is_made(self, folder, now):
        prepare(now)
        kept = StandbyKey.objects.get()
        standby_keys.withdraw(kept.spki_sha256, TESTER, now + SECOND, "The node burnt.")
        assert waiting() == promised(now) == []
        prepare(now + SECOND)
        assert take(now + SECOND) != kept.key_reference
        event = AuditEvent.objects.get(kind="standby_key.withdrawn")
        assert (event.actor, event.detail["purpose"], event.detail["pin"], event.detail["note"]) == (
            TESTER.name,
            PURPOSE,
            pins.as_base64(kept.spki_sha256),
            "The node burnt.",
        )
        for digest in (kept.spki_sha256, "00" * 32):
            with pytest.raises(standby_keys.NoStandbyKey):
                standby_keys.withdraw(digest, TESTER, now)

    def test_one_that_a_certificate_has_is_not_withdrawn(self, folder, now):
        take(now)
        with pytest.raises(standby_keys.NoStandbyKey):
            standby_keys.withdraw(StandbyKey.objects.get().spki_sha256, TESTER, now)

    def test_what_is_rolled_back_was_not_taken(self, folder, now):
        prepare(now)
        (reference,) = waiting()
        with writing():
            assert standby_keys.take(PURPOSE, SPEC, now) == reference
            transaction.set_rollback(True)
        assert waiting() == [reference]
        assert take(now) == reference


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_processes_that_prepare_at_once_make_one(self, folder, now):
        at_once(*[lambda: prepare(now)] * 6)
        prepare(now)  # whoever was not alone has left it
        assert len(waiting()) == 1

    def test_processes_that_take_at_once_take_different_ones(self, folder, now):
        prepare(now)
        (reference,) = waiting()
        taken = at_once(*[lambda: take(now)] * 6)
        assert len(set(taken)) == 6
        assert reference in taken

    def test_one_is_taken_within_a_transaction_alone(self, folder, now):
        assert not connection.in_atomic_block
        with pytest.raises(RuntimeError):
            standby_keys.take(PURPOSE, SPEC, now)
        with transaction.atomic():
            assert standby_keys.take(PURPOSE, SPEC, now)
