"""Who writes to the database, and has no key, changes nothing of the trail unnoticed."""

import json

import pytest
from django.db import connection

from pki.core import audit_proof
from pki.keystore import KeystoreError, keystore
from pki.models import AuditChain, AuditCheckpoint, AuditEvent, AuditSeal, AuditSigner
from pki.services.auditing import chain as chains
from pki.services.auditing import exporting, sealing, signers, witness
from portal.log_format import Json
from tests import postgres
from tests.services.auditing.trail import MINUTE, defenceless, faults, go_on_after_the_highest, numbers_sealed
from tests.services.cast import DAY, TESTER, registered


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
