"""`manage.py audit`, and the lines of docs/audit.md as they stand there."""

import errno
import hashlib
import io
import json
import os
import shlex
import shutil
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.core.management import CommandError, call_command
from django.db import OperationalError

from pki.core import audit_proof, pins
from pki.keystore import KeystoreError, keystore
from pki.models import AuditCheckpoint, AuditEvent, AuditSigner
from pki.services.auditing import chain, sealing, witness
from tests.docs.blocks import blocks, commands
from tests.services.auditing.trail import defenceless
from tests.services.cast import TESTER, registered

PROVEN = "PROVEN: nothing was changed, removed, added or moved."


@pytest.fixture
def folder(ca, now, tmp_path, monkeypatch):
    """A folder to work in, as a reader of the page has it, and a trail that is sealed."""
    for _ in range(2):  # the second time also that a key was made
        sealing.seal(now)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    shutil.copy(audit_proof.__file__, "audit_proof.py")
    return tmp_path / "work"


def audit(*words):
    out = io.StringIO()
    call_command("audit", *words, stdout=out)
    return out.getvalue()


def typed(line):
    """What a line prints; it must end with 0."""
    words = shlex.split(line)
    target = words.pop() if ">" in words else None
    if words[1] == "manage.py":
        out = io.StringIO()
        call_command(*(word for word in words[2:] if word != ">"), stdout=out)
        said = out.getvalue()
    else:
        done = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        said = done.stdout
    if target:
        with open(target, "w") as file:
            file.write(said)
    return said


def test_the_lines_of_the_page_prove_the_trail(folder):
    lines = [line for each in blocks("docs/audit.md", "sh") for line in commands(each.text)]
    check = next(line for line in lines if line.startswith("python3"))
    lines.remove(check)
    said = [typed(line) for line in lines]
    assert said[0].splitlines()[-1] == PROVEN
    assert typed(check).splitlines()[-1] == PROVEN
    assert AuditSigner.objects.count() == 2


def test_what_was_changed_is_said_and_ends_with_1(folder):
    defenceless("pki_auditevent")
    AuditEvent.objects.filter(seal__position=2).update(actor="administrator:\x1b[2J")
    out = io.StringIO()
    with pytest.raises(SystemExit, match="1"):
        call_command("audit", "verify", stdout=out)
    assert "FAULT: " in out.getvalue()
    assert out.getvalue().splitlines()[-1] == "NOT PROVEN."
    assert "\x1b" not in out.getvalue()


def test_an_export_is_for_its_owner_and_overwrites_nothing(folder):
    audit("export", "--out", "export.jsonl")
    assert os.stat("export.jsonl").st_mode & 0o777 == 0o600
    before = (folder / "export.jsonl").read_bytes()
    with pytest.raises(CommandError, match="is there already, and is not overwritten"):
        audit("export", "--out", "export.jsonl")
    assert (folder / "export.jsonl").read_bytes() == before
    with pytest.raises(CommandError, match="cannot be written"):
        audit("export", "--out", "no-such-folder/export.jsonl")


def test_an_export_that_does_not_fit_on_the_disk_is_one_sentence(folder, monkeypatch):
    with open("/dev/full", "w") as full, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", full)
        with pytest.raises(CommandError, match=r"No space left on device.*not whole"):
            audit("export")


@pytest.mark.parametrize(
    ("of", "name", "error"),
    [
        (keystore, "sign_statement", KeystoreError("It does not open.")),
        (lambda: os, "fsync", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))),
        (lambda: chain, "event_of", KeyboardInterrupt()),
    ],
    ids=["a key", "a full disk", "Ctrl-C"],
)
def test_an_export_that_fails_leaves_nothing_in_the_way_of_the_next_try(folder, monkeypatch, of, name, error):
    def failing(*args):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(of(), name, failing)
        with pytest.raises((CommandError, KeyboardInterrupt)):
            audit("export", "--out", "export.jsonl")
    assert not (folder / "export.jsonl").exists()
    audit("export", "--out", "export.jsonl")
    assert b'"type":"end"' in (folder / "export.jsonl").read_bytes()


def test_a_data_directory_that_cannot_be_written_is_one_sentence(folder, now, monkeypatch):
    registered("door", now)
    witness.place().unlink()
    witness.place().mkdir()
    with pytest.raises(CommandError, match="cannot be written"):
        audit("seal")


def test_an_export_of_an_hour_ago_is_what_a_later_one_is_held_against(folder, now):
    audit("export", "--out", "before.jsonl")
    registered("door-1", now)
    audit("export", "--out", "after.jsonl")
    (folder / "audit.pem").write_text(audit("key"))
    key = ["--public-key", "audit.pem"]
    assert audit_proof.main(["after.jsonl", *key, "--noted", "before.jsonl"]) == 0
    assert audit_proof.main(["before.jsonl", *key, "--noted", "after.jsonl"]) == 1


def stranger(now, **more):
    """A row of a signer whose key is nowhere, as somebody who can write to the database puts it in."""
    key = pins.spki(ec.generate_private_key(ec.SECP256R1()).public_key())
    return AuditSigner.objects.create(
        key_reference=f"file:audit-{len(more):012x}",
        public_key=key,
        fingerprint=hashlib.sha256(key).hexdigest(),
        made_at=now,
        **more,
    )


def test_a_key_that_this_node_does_not_vouch_for_is_not_printed(folder, now, capsys):
    """What is printed is what auditors are handed."""
    ours = audit("key")
    first = AuditSigner.objects.get()
    for more in ({}, {"endorsed_by": first, "statement": "none", "signature": b"none"}):
        found = stranger(now, **more)
        assert audit("key") == ours
        assert found.fingerprint in capsys.readouterr().err


def test_a_key_of_another_node_that_ours_endorsed_is_printed(folder, now):
    second = sealing.change_key(TESTER, now)
    keystore().discard(second.key_reference)
    assert second.fingerprint in audit("key")


def test_a_node_without_any_key_prints_none(folder, now):
    keystore().discard(AuditSigner.objects.get().key_reference)
    with pytest.raises(CommandError, match="on a node that signs"):
        audit("key")


def test_the_checkpoint_that_is_printed_is_the_last_one(folder):
    record = json.loads(audit("checkpoint"))
    assert record["statement"] == AuditCheckpoint.objects.order_by("-number").first().statement


@pytest.mark.parametrize("words", [("key",), ("checkpoint",)], ids=str)
def test_before_anything_was_signed_there_is_nothing_to_print(ca, words):
    """As in an installation from before, which has no key either."""
    defenceless("pki_auditsigner")
    signer = AuditSigner.objects.all()
    signer._raw_delete(signer.db)
    with pytest.raises(CommandError, match="There is none yet"):
        audit(*words)


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n"], ids=repr
)
def test_what_is_no_public_key_is_said(folder, content):
    (folder / "audit.pem").write_bytes(content)
    with pytest.raises(CommandError, match="no public key of P-256") as failed:
        audit("verify", "--public-key", "audit.pem")
    assert failed.value.returncode == 2
    with pytest.raises(CommandError, match="cannot be read"):
        audit("verify", "--public-key", "none.pem")


def test_a_node_without_the_key_is_told_what_to_give(folder, ca):
    for key in (ca / "keys").glob("audit-*"):
        key.unlink()
    keystore.cache_clear()
    with pytest.raises(CommandError, match="give --public-key FILE") as failed:
        audit("verify")
    assert failed.value.returncode == 2


def test_a_trail_that_cannot_be_read_is_not_said_to_be_wrong(folder, ca, monkeypatch):
    def away(*args):
        raise OperationalError("connection refused")

    with monkeypatch.context() as patched:
        patched.setattr(chain, "known", away)
        with pytest.raises(CommandError, match="The database cannot be used") as failed:
            audit("verify")
    assert failed.value.returncode == 2
    (key,) = (ca / "keys").glob("audit-*")
    key.write_bytes(b"damaged")
    keystore.cache_clear()
    with pytest.raises(CommandError, match="does not open") as failed:
        audit("verify")
    assert failed.value.returncode == 2
    with pytest.raises(CommandError, match="does not open") as failed:
        audit("key")
    assert failed.value.returncode == 1
