"""The audit trail is sealed after the fact; who writes to the database alone cannot change it unnoticed."""

import hashlib
import itertools
import json
import os
from datetime import timedelta

import pytest
from django.core.management.color import no_style
from django.db import IntegrityError, OperationalError, connection

from pki.core import audit_proof, pins
from pki.keystore import AUDIT, KeystoreError, keystore
from pki.models import AuditChain, AuditCheckpoint, AuditEvent, AuditSeal, AuditSigner, Issuer
from pki.services import audit
from pki.services.auditing import chain as chains
from pki.services.auditing import exporting, records, sealing, signers, verifying, witness
from pki.services.auditing.checkpoints import NoSigner
from pki.services.auditing.sealing import SealingElsewhere
from pki.services.auditing.signers import KeyElsewhere
from pki.services.transactions import alone
from portal.log_format import Json
from tests import postgres
from tests.core.test_audit_proof import made_key
from tests.server import seen_within
from tests.services.cast import DAY, TESTER, registered

MINUTE = timedelta(minutes=1)


@pytest.fixture
def sealed(ca, now):
    """A trail with two checkpoints: nothing was made since the second one."""
    sealing.seal(now)
    for name in ("door", "gate", "lamp"):
        registered(name, now)
    sealing.seal(now + MINUTE)
    return now + MINUTE


def faults(now, *public_keys):
    return verifying.checked(public_keys, now).faults


def numbers_sealed():
    return list(AuditSeal.objects.order_by("position").values_list("position", "event_id"))


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


def go_on_after_the_highest():
    """PostgreSQL counts on from the last number that it gave itself."""
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), [AuditEvent]):
            cursor.execute(statement)


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


# --- Somebody with the database, and without a key ------------------------------------------------


def defenceless(*tables):
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # What waits for the end of the test's transaction would keep the table from being altered.
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        for table in tables:
            if connection.vendor == "postgresql":
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            else:
                for rule in ("immutable", "kept"):
                    cursor.execute(f"DROP TRIGGER IF EXISTS {table}_{rule}")


@pytest.fixture
def eve(sealed):
    defenceless("pki_auditevent", "pki_auditseal", "pki_auditcheckpoint", "pki_auditsigner")
    return sealed


def deleted(rows):
    rows._raw_delete(rows.db)


def resealed(first):
    """Make all seals from a position on anew, as Hatchery computes them."""
    before = AuditSeal.objects.filter(position=first - 1).first()
    head = bytes(before.hash) if before else audit_proof.genesis(AuditChain.objects.get().name)
    for seal in AuditSeal.objects.filter(position__gte=first).order_by("position"):
        row = AuditEvent.objects.filter(pk=seal.event_id).values_list(*chains.COLUMNS).get()
        head = audit_proof.event_hash(head, chains.event_of(row))
        AuditSeal.objects.filter(pk=seal.pk).update(hash=head)


def test_an_event_that_was_changed_is_named(eve):
    AuditEvent.objects.filter(seal__position=3).update(actor="administrator:nobody")
    (fault,) = faults(eve)
    assert "at position 3 is not the one that was sealed there" in fault


@postgres.not_there("INSERT OR REPLACE is SQLite's")
def test_an_event_that_was_replaced_past_the_triggers_is_named(sealed):
    """SQLite asks no trigger about what such a statement takes away."""
    columns = [field.column for field in AuditEvent._meta.concrete_fields]
    values = ["'administrator:nobody'" if column == "actor" else column for column in columns]
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT OR REPLACE INTO pki_auditevent ({', '.join(columns)}) "  # noqa: S608
            f"SELECT {', '.join(values)} FROM pki_auditevent WHERE id = %s",
            [AuditSeal.objects.get(position=3).event_id],
        )
    (fault,) = faults(sealed)
    assert "at position 3 is not the one that was sealed there" in fault


@postgres.not_there("its dates are dates")
def test_an_event_that_cannot_even_be_read_is_a_fault_of_the_trail(eve):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE pki_auditevent SET at = '2026-13-45 00:00:00'")
    assert any(
        "(month must be in 1..12): This is not as Hatchery writes it." in fault for fault in faults(eve)
    )


@pytest.mark.parametrize(
    "change",
    [{"at": "2020-01-01T00:00:00Z"}, {"kind": "x"}, {"address": "::1"}, {"count": 2}, {"detail": {}}],
    ids=str,
)
def test_no_column_of_it_can_be_changed(eve, change):
    event = AuditEvent.objects.exclude(detail={}).order_by("pk").last()
    AuditEvent.objects.filter(pk=event.pk).update(**change)
    assert faults(eve)


def test_a_device_that_was_given_another_name_is_noticed(eve):
    event = AuditEvent.objects.filter(device__isnull=False).first()
    type(event.device).objects.filter(pk=event.device_id).update(name="somebody-else")
    assert faults(eve)


def test_one_that_was_removed_is_noticed_with_its_seal_and_without(eve):
    deleted(AuditEvent.objects.filter(seal__position=3))
    assert "position 3 comes here" in faults(eve)[0]
    deleted(AuditSeal.objects.filter(position=3))
    assert "position 3 comes here" in faults(eve)[0]


def test_one_that_was_removed_and_all_after_it_sealed_anew_is_noticed_by_the_checkpoints(eve):
    AuditEvent.objects.filter(seal__position=3).update(actor="administrator:nobody")
    resealed(3)
    assert any("was signed over other events" in fault for fault in faults(eve))


def test_one_that_was_put_between_is_noticed(eve):
    seals = AuditSeal.objects.filter(position__gte=3).order_by("-position")
    for seal in seals:
        AuditSeal.objects.filter(pk=seal.pk).update(position=seal.position + 1)
    late = AuditEvent.objects.create(at=eve, kind="test.done", actor="nobody")
    AuditSeal.objects.create(position=3, event=late, hash=b"")
    resealed(3)
    assert any("was signed over other events" in fault for fault in faults(eve))


def test_two_that_changed_places_are_noticed(eve):
    two, three = (AuditSeal.objects.get(position=position) for position in (2, 3))
    AuditSeal.objects.filter(position=3).update(event_id=0)
    AuditSeal.objects.filter(position=2).update(event_id=three.event_id)
    AuditSeal.objects.filter(position=3).update(event_id=two.event_id)
    assert len(faults(eve)) == 2


def test_an_old_one_that_was_put_in_without_a_seal_is_noticed(eve):
    deleted(AuditSeal.objects.filter(position=1))
    number = numbers_sealed()[0][1] - 1
    AuditEvent.objects.filter(pk=number).update(at=eve - DAY)
    assert any("is not sealed, though" in fault for fault in faults(eve))


def put_in(number, at):
    """An event with a number of its own."""
    AuditEvent.objects.bulk_create([AuditEvent(pk=number, at=at, kind="test.done", actor="nobody")])
    go_on_after_the_highest()


def settles_above(number, now):
    """On PostgreSQL it does some runs later: other tests of the same cluster have transactions open."""

    def settled():
        sealing.seal(now)
        return AuditChain.objects.get().sealed_below > number

    return seen_within(20, settled)


@pytest.fixture
def gap(ca, now):
    """A number that no event has, among those that are sealed, and somebody who owns the database."""
    sealing.seal(now)
    number = chains.newest() + 5
    put_in(number + 5, now)
    sealing.seal(now)
    # As it is, on PostgreSQL, once the transactions of that moment have ended: this test's own is one.
    next_one = chains.newest() + 1
    AuditChain.objects.update(sealed_below=next_one, settling_below=next_one)
    defenceless("pki_auditevent")
    return number


@pytest.mark.parametrize("number", [-1, 0, "gap"], ids=str)
@pytest.mark.parametrize("days", [0, 3650], ids=["now", "in ten years"])
def test_one_that_was_put_where_nothing_is_looked_for_is_noticed_for_good(gap, now, number, days):
    number = gap if number == "gap" else number
    put_in(number, now + days * DAY)
    for minutes in range(3):
        sealing.seal(now + minutes * MINUTE)
        (fault,) = faults(now + minutes * MINUTE)
        assert f"Event {number} is not sealed" in fault


def test_one_that_was_put_there_is_a_fault_of_the_export_too(gap, now):
    put_in(gap, now)
    sealing.seal(now)
    keys = audit_proof.Keys()
    keys.give(signers.pem(AuditSigner.objects.get()).encode())
    checker = audit_proof.Checker(keys)
    for record in exporting.exported(now):
        checker.take(record, "")
    checker.finish()
    (fault,) = checker.faults
    assert f"Event {gap} is not sealed, though all with numbers as low as that are" in fault


def test_one_that_is_still_to_happen_is_noticed(eve):
    put_in(chains.newest() + 1, eve + DAY)
    (fault,) = faults(eve)
    assert "says that it happens over an hour after" in fault


def test_a_key_that_was_put_in_signs_nothing_that_counts(eve):
    """A row may name a key of this keystore, which is another one's, or a public key that nobody has here."""
    right = AuditSigner.objects.get()
    for reference in (right.key_reference + "0", "file:audit-checkpoints-000000000000"):
        AuditSigner.objects.create(
            key_reference=reference, public_key=b"eve", fingerprint=reference[-64:], made_at=eve
        )
    AuditSigner.objects.filter(pk=right.pk).update(public_key=b"eve", fingerprint="0" * 64)
    registered("late", eve)
    sealing.seal(eve + MINUTE)
    assert AuditCheckpoint.objects.count() == 2
    assert sealing.change_key(TESTER, eve + MINUTE, endorsed=False).endorsed_by is None


def cut_off(before):
    """Leave nothing of the trail from a checkpoint on."""
    keeps = AuditCheckpoint.objects.get(number=before - 1).count
    deleted(AuditCheckpoint.objects.filter(number__gte=before))
    gone = list(AuditSeal.objects.filter(position__gt=keeps).values_list("event_id", flat=True))
    deleted(AuditSeal.objects.filter(position__gt=keeps))
    deleted(AuditEvent.objects.filter(pk__in=gone))


def test_an_end_that_was_cut_off_is_noticed_by_what_the_node_has_noted(eve):
    cut_off(2)
    assert faults(eve) == ["Checkpoint 2, which was noted, is missing: the end was cut off."]


def test_an_end_that_was_cut_off_is_on_record_for_good_and_once(eve):
    noted = witness.noted()
    cut_off(2)
    sealing.seal(eve + MINUTE)
    event = AuditEvent.objects.get(kind="audit.cut_off")
    assert (event.detail["checkpoint"], event.detail["head"]) == (2, noted["head"])
    assert AuditSeal.objects.filter(event=event).exists()
    sealing.seal(eve + 2 * MINUTE)
    assert AuditEvent.objects.filter(kind="audit.cut_off").count() == 1
    assert faults(eve + 2 * MINUTE) == []


def test_who_cuts_it_off_cannot_say_in_advance_that_it_was_told(eve):
    """The event that tells of it, put in by hand, is not what the node knows that it has told."""
    noted = witness.noted()
    cut_off(2)
    number = AuditEvent.objects.order_by("-pk").first().pk + 1
    detail = {"checkpoint": 2, "head": noted["head"]}
    AuditEvent.objects.create(
        pk=number, at=eve - 50 * DAY, kind="audit.cut_off", actor="hatchery", detail=detail
    )
    go_on_after_the_highest()
    sealing.seal(eve + MINUTE)
    assert AuditEvent.objects.filter(kind="audit.cut_off", at=eve + MINUTE).count() == 1


def swallow_what_tells_of_it():
    """Have the database itself undo each event that tells that the end was cut off."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                "DELETE FROM pki_auditevent WHERE id = NEW.id; RETURN NULL; END $$"
            )
            made, does = "AFTER INSERT ON pki_auditevent FOR EACH ROW", "EXECUTE FUNCTION swallow()"
        else:
            made = "AFTER INSERT ON pki_auditevent"
            does = "BEGIN DELETE FROM pki_auditevent WHERE id = NEW.id; END"
        cursor.execute(f"CREATE TRIGGER swallow {made} WHEN (NEW.kind = 'audit.cut_off') {does}")


def test_the_note_stays_until_the_cut_is_told_under_a_signature(eve):
    noted = witness.noted()
    cut_off(2)
    swallow_what_tells_of_it()
    for minutes in (1, 2):
        registered(f"late-{minutes}", eve)
        sealing.seal(eve + minutes * MINUTE)
        assert not AuditEvent.objects.filter(kind="audit.cut_off").exists()
        assert witness.noted() == noted
        assert any("was noted" in fault for fault in faults(eve + minutes * MINUTE))


def test_what_was_told_and_taken_away_again_is_told_again(eve, monkeypatch):
    cut_off(2)

    def without(*args):
        raise KeystoreError("It does not open.")

    with monkeypatch.context() as patched:
        patched.setattr(keystore(), "sign_statement", without)
        with pytest.raises(KeystoreError):
            sealing.seal(eve + MINUTE)
    deleted(AuditSeal.objects.filter(event__kind="audit.cut_off"))
    deleted(AuditEvent.objects.filter(kind="audit.cut_off"))
    sealing.seal(eve + 2 * MINUTE)
    assert AuditEvent.objects.get(kind="audit.cut_off").at == eve + 2 * MINUTE
    assert faults(eve + 2 * MINUTE) == []


def test_a_chain_that_was_thrown_away_and_begun_anew_is_on_record(eve):
    defenceless("pki_auditchain")
    for model in (AuditCheckpoint, AuditSeal, AuditChain):
        deleted(model.objects.all())
    assert "Checkpoint 2, which was noted, is missing: the end was cut off." in faults(eve)
    sealing.seal(eve + MINUTE)
    assert AuditEvent.objects.get(kind="audit.cut_off").detail["checkpoint"] == 2


def test_it_is_on_record_once_also_while_no_checkpoint_can_be_signed(eve, monkeypatch):
    cut_off(2)

    def without(*args):
        raise KeystoreError("It does not open.")

    monkeypatch.setattr(keystore(), "sign_statement", without)
    for minutes in (1, 2, 3):
        with pytest.raises(KeystoreError):
            sealing.seal(eve + minutes * MINUTE)
    assert AuditEvent.objects.filter(kind="audit.cut_off").count() == 1


def test_an_export_that_somebody_has_tells_of_it_too(eve, tmp_path, capsys):
    def export(name):
        path = tmp_path / name
        path.write_bytes(b"".join(exporting.lines(eve)))
        return str(path)

    key = tmp_path / "audit.pem"
    key.write_text(signers.pem(AuditSigner.objects.get()))
    before = export("before.jsonl")
    assert audit_proof.main([before, "--public-key", str(key), "--noted", before]) == 0
    cut_off(2)
    sealing.seal(eve + MINUTE)
    after = export("after.jsonl")
    assert audit_proof.main([after, "--public-key", str(key)]) == 0  # the server was made to sign it
    assert audit_proof.main([after, "--public-key", str(key), "--noted", before]) == 1
    assert "Checkpoint 2 is another one than the one that was noted." in capsys.readouterr().out


@pytest.mark.parametrize("left", [b"", b"{}", b"no json", b'{"statement": "eve"}', b"\xff"], ids=repr)
def test_a_note_that_is_damaged_stops_nothing(sealed, left):
    witness.place().write_bytes(left)
    registered("late", sealed)
    assert sealing.seal(sealed + MINUTE) > 0
    assert witness.noted()["number"] == 3
    assert faults(sealed + MINUTE) == []


def test_a_line_of_the_log_is_what_an_export_is_held_against(ca, now, tmp_path, caplog):
    """As a program reads it that collects lines of JSON: nothing is escaped twice."""
    with caplog.at_level("INFO", logger="hatchery.audit"):
        sealing.seal(now)
    (line,) = (
        each for each in caplog.records if getattr(each, "fields", {}).get("kind") == "audit.checkpoint"
    )
    collected = tmp_path / "collected.jsonl"
    collected.write_text(json.dumps(json.loads(Json().format(line))["event"]))
    keys = audit_proof.Keys()
    keys.give(signers.pem(AuditSigner.objects.get()).encode())
    with collected.open("rb") as file:
        statement = audit_proof.noted(file, "it", keys)
    assert statement == AuditCheckpoint.objects.get().statement


# --- The key ----------------------------------------------------------------------------------------


def test_another_key_is_endorsed_by_the_one_before_and_signs_from_then_on(sealed):
    (first,) = AuditSigner.objects.all()
    second = sealing.change_key(TESTER, sealed + MINUTE)
    sealing.seal(sealed + 2 * MINUTE)
    by = AuditCheckpoint.objects.order_by("number").values_list("signer", flat=True)
    assert list(by) == [first.pk, first.pk, second.pk]
    for given in (first, second):
        assert faults(sealed + 2 * MINUTE, signers.pem(given).encode()) == []


def test_a_node_without_the_key_leaves_signing_to_one_that_has_it_but_not_for_long(sealed):
    (first,) = AuditSigner.objects.all()
    keystore().discard(first.key_reference)
    with pytest.raises(NoSigner, match="give --public-key"):
        faults(sealed)
    registered("late", sealed)
    assert sealing.seal(sealed + MINUTE) > 0
    assert AuditCheckpoint.objects.count() == 2
    with pytest.raises(NoSigner, match=r"manage.py audit new_key"):
        sealing.seal(sealed + 20 * MINUTE)
    assert AuditSigner.objects.count() == 1
    assert verifying.checked([signers.pem(first).encode()], sealed).faults == []


def test_a_checkpoint_by_a_clock_that_was_ahead_does_not_hide_that_nobody_signs(sealed):
    sealing.seal(sealed + 30 * 60 * MINUTE)
    keystore().discard(AuditSigner.objects.get().key_reference)
    registered("late", sealed)
    with pytest.raises(NoSigner, match=r"manage.py audit new_key"):
        sealing.seal(sealed + 20 * MINUTE)


def test_after_a_clock_was_ahead_what_is_not_sealed_yet_is_no_fault(sealed):
    registered("ahead", sealed)
    sealing.seal(sealed + 3 * 60 * MINUTE)
    registered("right", sealed + MINUTE)
    assert faults(sealed + MINUTE) == []
    defenceless("pki_auditevent")
    AuditEvent.objects.filter(device__name="right").update(at=sealed - 2 * 60 * MINUTE)
    assert any("is not sealed, though" in fault for fault in faults(sealed + MINUTE))


def test_the_first_run_makes_it_with_the_other_keys(ca, now):
    (first,) = AuditSigner.objects.all()
    assert signers.is_ours(first)
    sealing.ensure_key(TESTER, now)
    assert AuditSigner.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_key_is_kept_though_the_answer_of_the_commit_that_stored_it_is_lost(sealed, monkeypatch):
    """The row is there, and would have nobody to sign; a key too many is none's trouble."""

    def lost(commit=connection.commit):
        commit()
        raise OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as now_only:
        now_only.setattr(connection, "commit", lost)
        with pytest.raises(OperationalError):
            signers.make(chains.here(sealed), TESTER, sealed)
    newest = signers.newest()
    assert (AuditSigner.objects.count(), signers.is_ours(newest)) == (2, True)
    sealing.seal(sealed + MINUTE)
    assert AuditCheckpoint.objects.order_by("number").last().signer == newest


def test_a_key_that_could_not_be_stored_is_not_kept(sealed, monkeypatch):
    def fails(*words, **detail):
        raise OperationalError("the disk is full")

    kept = set(keystore().copies())
    with monkeypatch.context() as now_only:
        now_only.setattr(audit, "record", fails)
        with pytest.raises(OperationalError):
            signers.make(chains.here(sealed), TESTER, sealed)
    assert (AuditSigner.objects.count(), set(keystore().copies())) == (1, kept)


def test_a_node_without_the_key_makes_no_other_one_unless_it_is_told_to(sealed):
    """One that nobody endorsed would make each export a question of which."""
    (first,) = AuditSigner.objects.all()
    keystore().discard(first.key_reference)
    with pytest.raises(KeyElsewhere, match="--without-endorsement"):
        sealing.change_key(TESTER, sealed)
    assert AuditSigner.objects.count() == 1


def test_no_node_goes_on_with_a_key_after_another_one_was_made_elsewhere(sealed):
    (first,) = AuditSigner.objects.all()
    second = sealing.change_key(TESTER, sealed + MINUTE)
    keystore().discard(second.key_reference)  # as on a node that keys/ was not copied to again
    registered("late", sealed)
    before = AuditCheckpoint.objects.count()
    sealing.seal(sealed + 2 * MINUTE)
    assert AuditCheckpoint.objects.count() == before
    with pytest.raises(NoSigner):
        sealing.seal(sealed + 20 * MINUTE)
    assert faults(sealed, signers.pem(first).encode()) == []


def test_a_checkpoint_by_the_key_of_another_node_says_whose_it_is(sealed):
    (first,) = AuditSigner.objects.all()
    second = sealing.change_key(TESTER, sealed + MINUTE, endorsed=False)
    sealing.seal(sealed + 2 * MINUTE)
    assert faults(sealed + 2 * MINUTE) == []
    keystore().discard(second.key_reference)
    assert signers.is_ours(first)
    checker = verifying.checked([], sealed + 2 * MINUTE)
    assert checker.stranger == second.fingerprint
    assert any(
        f"signed by the key {second.fingerprint}, which was not given" in each for each in checker.faults
    )


def test_a_key_that_is_lost_is_followed_by_another_one_that_nobody_endorsed(sealed):
    (first,) = AuditSigner.objects.all()
    keystore().discard(first.key_reference)
    sealing.change_key(TESTER, sealed + MINUTE, endorsed=False)
    registered("late", sealed)
    sealing.seal(sealed + MINUTE)
    second = AuditSigner.objects.get(endorsed_by=None, pk__gt=first.pk)
    known = [signers.pem(each).encode() for each in (first, second)]
    assert (
        f"signed by the key {second.fingerprint}, which was not given" in faults(sealed + MINUTE, known[0])[0]
    )
    assert faults(sealed + MINUTE, known[1]) == []
    assert faults(sealed + MINUTE, *known) == []


def row_put_in(now, **columns):
    """Of a signer, as somebody who may insert and no more puts it in."""
    key = pins.spki(made_key().public_key())
    row = {
        "key_reference": "x",
        "public_key": key,
        "fingerprint": hashlib.sha256(key).hexdigest(),
        "made_at": now,
        "statement": "",
        "signature": b"",
        **columns,
    }
    with connection.cursor() as cursor:
        places = ", ".join(["%s"] * len(row))
        cursor.execute(
            f"INSERT INTO pki_auditsigner ({', '.join(row)}) VALUES ({places})",  # noqa: S608
            list(row.values()),
        )


def key_of_an_issuer(now):
    """It is here and opens, and signs no statements."""
    issuer = Issuer.objects.get(parent__isnull=False)
    key = pins.spki(issuer.certificate.public_key())
    return {
        "key_reference": issuer.key_reference,
        "public_key": key,
        "fingerprint": hashlib.sha256(key).hexdigest(),
    }


def endorsed_once_more(now):
    """The row of a key that the first one endorsed and another one has followed."""
    second = sealing.change_key(TESTER, now)
    sealing.change_key(TESTER, now)
    return {
        "public_key": bytes(second.public_key),
        "endorsed_by_id": second.endorsed_by_id,
        "statement": second.statement,
        "signature": bytes(second.signature),
    }


# What SQLite alone takes.
OF_OTHER_TYPES = {
    "public_key": "x",
    "signature": "x",
    "fingerprint": b"x",
    "key_reference": b"x",
    "statement": b"x",
    "made_at": "2026-13-45 00:00:00",
}
PUT_IN = {
    "nothing": lambda now: {},
    "a name that is too long": lambda now: {"key_reference": f"file:{AUDIT}-{'0' * 100}"},
    "a key that is nowhere": lambda now: {"key_reference": f"file:{AUDIT}-{'0' * 12}"},
    "no key": lambda now: {"public_key": b"x"},
    "an issuer's key": key_of_an_issuer,
    "endorsed once more": endorsed_once_more,
    **{
        f"{column} of another type": lambda now, column=column: {column: OF_OTHER_TYPES[column]}
        for column in OF_OTHER_TYPES
    },
}


@pytest.mark.parametrize("row", PUT_IN)
def test_a_row_that_was_put_among_the_signers_stops_nothing(sealed, row):
    """The triggers refuse to take it out again."""
    if row.endswith("of another type") and connection.vendor == "postgresql":
        pytest.skip("PostgreSQL takes no values of other types")
    columns = PUT_IN[row](sealed)
    signs = signers.newest()
    row_put_in(sealed, **columns)
    registered("late", sealed)
    assert sealing.seal(sealed + MINUTE) > 0
    assert AuditCheckpoint.objects.order_by("number").last().signer == signs
    assert faults(sealed + MINUTE) == []
    assert json.loads(list(exporting.lines(sealed + MINUTE))[-1])["signer"] == signs.fingerprint
    good, strange = verifying.vouched_for()
    assert (signs in good, len(strange)) == (True, 1)
    second = sealing.change_key(TESTER, sealed + 2 * MINUTE)
    assert second.endorsed_by == signs
    third = sealing.change_key(TESTER, sealed + 3 * MINUTE, endorsed=False)
    sealing.seal(sealed + 4 * MINUTE)
    assert AuditCheckpoint.objects.order_by("number").last().signer == third
    assert faults(sealed + 4 * MINUTE) == []


def test_a_key_that_a_stranger_followed_signs_no_more(sealed):
    """One that was made elsewhere without an endorsement looks like that: the old one would make a fault."""
    (first,) = AuditSigner.objects.all()
    second = sealing.change_key(TESTER, sealed + MINUTE, endorsed=False)
    sealing.seal(sealed + 2 * MINUTE)
    known = [signers.pem(each).encode() for each in (first, second)]
    keystore().discard(second.key_reference)
    registered("late", sealed)
    sealing.seal(sealed + 3 * MINUTE)
    assert AuditCheckpoint.objects.order_by("number").last().signer == second
    with pytest.raises(KeyElsewhere, match=second.fingerprint):
        sealing.change_key(TESTER, sealed + 3 * MINUTE)
    assert faults(sealed + 3 * MINUTE, *known) == []


def test_a_checkpoint_that_was_put_in_with_its_signer_and_is_not_signed_keeps_nobody_from_signing(sealed):
    (first,) = AuditSigner.objects.all()
    row_put_in(sealed)
    last = AuditCheckpoint.objects.order_by("number").last()
    AuditCheckpoint.objects.create(
        number=last.number + 1,
        count=last.count,
        last_event=last.last_event,
        at=sealed,
        statement=last.statement,
        signature=bytes(last.signature),
        signer=AuditSigner.objects.exclude(pk=first.pk).get(),
    )
    registered("late", sealed)
    sealing.seal(sealed + MINUTE)
    assert AuditCheckpoint.objects.order_by("number").last().signer == first


@pytest.mark.parametrize("endorsed", [True, False], ids=["endorsed", "not"])
def test_a_key_that_does_not_open_is_followed_by_another_one_as_one_that_is_gone(sealed, ca, endorsed):
    (path,) = (ca / "keys").glob(f"{AUDIT}-*.pem")
    path.write_bytes(b"damaged")
    keystore.cache_clear()
    registered("late", sealed)
    with pytest.raises(KeystoreError, match="does not open"):
        sealing.seal(sealed + MINUTE)
    if endorsed:
        with pytest.raises(KeystoreError, match="does not open"):
            sealing.change_key(TESTER, sealed + MINUTE)
        return
    second = sealing.change_key(TESTER, sealed + MINUTE, endorsed=False)
    sealing.seal(sealed + 2 * MINUTE)
    assert AuditCheckpoint.objects.order_by("number").last().signer == second
    with pytest.raises(KeystoreError, match="does not open"):
        faults(sealed + 2 * MINUTE)
    path.unlink()
    assert faults(sealed + 2 * MINUTE) == []


def test_a_key_for_checkpoints_signs_nothing_else_and_no_other_key_signs_checkpoints(ca):
    statement = audit_proof.statement(audit_proof.CHECKPOINT, number=1)
    other = keystore().create("ocsp", "P-256")
    ours = keystore().create(AUDIT, "P-256")
    assert keystore().sign_statement(ours, statement)
    for reference, text in ((other, statement), (ours, "hello"), (ours, ""), (ours, f" {statement}")):
        with pytest.raises(ValueError, match=r"Statements are signed|no statement"):
            keystore().sign_statement(reference, text)


# --- The export -------------------------------------------------------------------------------------


def test_what_is_not_sealed_yet_is_exported_and_said_to_be_so(sealed, monkeypatch):
    def just_then(*args):
        registered("later", sealed)
        return whole(*args)

    whole = records.whole
    with monkeypatch.context() as patched:
        patched.setattr(records, "whole", just_then)
        exported = list(exporting.exported(sealed))
    assert exported[0]["format"] == audit_proof.FORMAT
    (unsealed,) = (record for record in exported if record["type"] == "unsealed")
    assert unsealed["event"]["device"] == "later"
    end = audit_proof.said(audit_proof.END, exported[-1]["statement"])
    assert (end["events"], end["unsealed"]) == (AuditSeal.objects.count(), 1)
    checker = verifying.checked([], sealed)
    assert (checker.unsealed, checker.unproven) == (1, 1)


def test_an_export_is_sealed_first(sealed):
    registered("late", sealed)
    assert not any(record["type"] == "unsealed" for record in exporting.exported(sealed))


def test_while_another_process_seals_none_is_made_that_would_leave_out_what_is_committed(sealed):
    registered("late", sealed)
    with alone("audit"), pytest.raises(SealingElsewhere, match="try again"):
        exporting.exported(sealed)
    assert not any(record["type"] == "unsealed" for record in exporting.exported(sealed))


def proven(export, *public_keys):
    keys = audit_proof.Keys()
    for signer in public_keys:
        keys.give(signers.pem(signer).encode())
    checker = audit_proof.Checker(keys)
    for record in export:
        checker.take(record, "")
    checker.finish()
    return checker.faults


@pytest.mark.parametrize("read", [0, 1, 2, 5], ids=lambda read: f"after {read} lines")
@pytest.mark.parametrize("endorsed", [True, False], ids=["endorsed", "not"])
def test_an_export_during_which_the_key_is_changed_is_proven_by_the_one_before(sealed, read, endorsed):
    first = signers.newest()
    export = exporting.exported(sealed)
    begun = list(itertools.islice(export, read))
    second = sealing.change_key(TESTER, sealed + MINUTE, endorsed=endorsed)
    sealing.seal(sealed + 2 * MINUTE)
    assert AuditCheckpoint.objects.filter(signer=second).exists()
    assert proven([*begun, *export], first) == []


def test_a_node_without_the_key_makes_no_export_that_nobody_could_prove(sealed):
    keystore().discard(AuditSigner.objects.get().key_reference)
    with pytest.raises(NoSigner, match="Export on a node that signs"):
        exporting.exported(sealed)


def test_events_and_checkpoints_are_exported_page_by_page(sealed, monkeypatch):
    whole = list(exporting.exported(sealed))[:-1]
    monkeypatch.setattr(records, "_AT_ONCE", 1)
    monkeypatch.setattr(chains, "BATCH", 1)
    assert list(exporting.exported(sealed))[:-1] == whole


def test_a_trail_that_was_never_sealed_is_not_proven(ca, now):
    read = list(records.whole(chains.known(), now))
    assert {record["type"] for record in read} == {"export", "signer", "unsealed"}
    checker = audit_proof.Checker(audit_proof.Keys())
    for record in read:
        checker.take(record, "")
    checker.finish()
    assert "nothing is proven" in checker.faults[-1]


def test_what_strangers_write_into_their_names_stays_on_its_line(sealed):
    audit.record("test.done", TESTER, sealed, name="a\nb\u2028\x1b[2J\ud800"[:-1], more={"ü": 1.5, "n": None})
    sealing.seal(sealed + MINUTE)
    lines = [line.removesuffix(b"\n") for line in exporting.lines(sealed + MINUTE)]
    assert not any(set(line) & {10, 27, 0xE2} for line in lines)
    assert json.loads(lines[-2 - 1])["type"] in ("event", "checkpoint")
    assert faults(sealed + MINUTE) == []


def test_the_note_is_for_its_owner_alone(sealed):
    assert os.stat(witness.place()).st_mode & 0o777 == 0o600
