"""The trail as somebody else gets it, to its signed end."""

import itertools
import json
import os

import pytest

from pki.core import audit_proof
from pki.keystore import keystore
from pki.models import AuditCheckpoint, AuditSeal, AuditSigner
from pki.services import audit
from pki.services.auditing import chain as chains
from pki.services.auditing import exporting, records, sealing, signers, verifying, witness
from pki.services.auditing.checkpoints import NoSigner
from pki.services.auditing.sealing import SealingElsewhere
from pki.services.transactions import alone
from tests.services.auditing.trail import MINUTE, faults
from tests.services.cast import TESTER, registered


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
