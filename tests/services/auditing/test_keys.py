"""Which key signs the trail, which one follows it, and whose word counts."""

import hashlib
import json

import pytest
from django.db import OperationalError, connection

from pki.core import audit_proof, pins
from pki.keystore import AUDIT, KeystoreError, keystore
from pki.models import AuditCheckpoint, AuditEvent, AuditSigner, Issuer
from pki.services import audit
from pki.services.auditing import chain as chains
from pki.services.auditing import exporting, sealing, signers, verifying
from pki.services.auditing.checkpoints import NoSigner
from pki.services.auditing.signers import KeyElsewhere
from tests.core.test_audit_proof import made_key
from tests.services.auditing.trail import MINUTE, defenceless, faults
from tests.services.cast import TESTER, registered


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
