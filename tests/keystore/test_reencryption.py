"""Another passphrase for a folder of keys: all of them, whatever happens in between, and none is lost."""

import stat

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pki.keystore import KeystoreError
from pki.keystore.encrypted_files import EncryptedFiles
from pki.keystore.reencryption import HalfDone, reencrypt

OLD = "the passphrase of before"
NEW = "the passphrase of after!"
KINDS = ("P-256", "Ed25519", "P-384", "P-256")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "keys"


@pytest.fixture
def public_keys(folder):
    """The keys of a folder by their references; nobody uses them."""
    store = EncryptedFiles(folder, OLD)
    return {
        reference: store.public_key(reference) for reference in (store.create("k", kind) for kind in KINDS)
    }


def opened(folder, passphrase, references):
    store = EncryptedFiles(folder, passphrase)
    return {reference: store.public_key(reference) for reference in references}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def opens(path, passphrase):
    try:
        return bool(load_pem_private_key(path.read_bytes(), passphrase.encode()))
    except ValueError:
        return False


def test_every_key_is_the_same_under_the_new_passphrase_and_the_old_one_opens_none(folder, public_keys):
    done = reencrypt(folder, OLD, NEW)
    assert (done.changed, done.already) == (len(KINDS), 0)
    assert opened(folder, NEW, public_keys) == public_keys
    assert not any(opens(path, OLD) for path in folder.iterdir())
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_a_second_time_changes_nothing(folder, public_keys):
    reencrypt(folder, OLD, NEW)
    before = contents(folder)
    done = reencrypt(folder, OLD, NEW)
    assert (done.changed, done.already) == (0, len(KINDS))
    assert contents(folder) == before


def test_killed_at_any_step_it_loses_nothing_and_run_again_it_ends(folder, public_keys, monkeypatch):
    """Every call that writes is the last one once."""
    steps = ("os.fsync", "os.open", "pathlib.Path.replace")
    cut_short = 0
    for step in steps:
        for last in range(100):
            with monkeypatch.context() as patch:
                killed = _kill_at(patch, step, last)
                try:
                    reencrypt(folder, OLD, NEW)
                except SystemExit:
                    cut_short += 1
            for path in folder.glob("*.pem"):
                assert opens(path, OLD) or opens(path, NEW)
            done = reencrypt(folder, OLD, NEW)
            assert done.changed + done.already == len(KINDS)
            assert opened(folder, NEW, public_keys) == public_keys
            assert len(contents(folder)) == len(KINDS), "nothing lies about"
            assert reencrypt(folder, NEW, OLD).changed == len(KINDS)
            if not killed():
                break
    assert cut_short > 3 * len(KINDS)


def _kill_at(patch, step, last):
    """Let the program end at a call; returns whether it came to that."""
    name, _, function = step.rpartition(".")
    module = {"os": __import__("os"), "pathlib.Path": __import__("pathlib").Path}[name]
    real, calls = getattr(module, function), []

    def counted(*args, **kwargs):
        calls.append(1)
        if len(calls) == last + 1:
            raise SystemExit(9)
        return real(*args, **kwargs)

    patch.setattr(module, function, counted)
    return lambda: len(calls) > last


def test_what_a_killed_writer_left_is_taken_away(folder, public_keys):
    left = folder / f".k-0123456789ab.pem.{16 * 'a'}"
    left.write_bytes(next(folder.glob("*.pem")).read_bytes())
    reencrypt(folder, OLD, NEW)
    assert not left.exists()


def test_a_wrong_old_passphrase_changes_nothing_and_says_so(folder, public_keys):
    before = contents(folder)
    with pytest.raises(KeystoreError, match=r"the old one is wrong.*Nothing was changed") as caught:
        reencrypt(folder, "another passphrase, a wrong one", NEW)
    assert contents(folder) == before
    assert not any(secret in str(caught.value) for secret in (OLD, NEW, "a wrong one"))


def test_one_damaged_file_is_named_and_nothing_is_changed(folder, public_keys):
    damaged = sorted(folder.iterdir())[1]
    damaged.write_bytes(damaged.read_bytes()[:100])
    before = contents(folder)
    with pytest.raises(KeystoreError, match=r"neither passphrase.*Nothing was changed") as caught:
        reencrypt(folder, OLD, NEW)
    assert str(damaged) in str(caught.value)
    assert contents(folder) == before


def test_a_disk_that_fails_at_once_changes_nothing_and_says_so(folder, public_keys, monkeypatch):
    before = contents(folder)
    monkeypatch.setattr("os.fsync", _fail_from(0))
    with pytest.raises(KeystoreError, match=r"cannot be written \(No space left.*Nothing was changed"):
        reencrypt(folder, OLD, NEW)
    assert contents(folder) == before


def test_a_disk_that_fails_in_the_middle_says_how_far_it_came(folder, public_keys, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", _fail_from(4))  # two a file: its content, and its folder
        with pytest.raises(HalfDone, match=r"2 of 4 keys have the new passphrase by now.*run this again"):
            reencrypt(folder, OLD, NEW)
    assert reencrypt(folder, OLD, NEW).already == 2
    assert opened(folder, NEW, public_keys) == public_keys


def _fail_from(number):
    calls = []

    def fsync(descriptor):
        calls.append(descriptor)
        if len(calls) > number:
            raise OSError(28, "No space left on device")

    return fsync


def test_while_somebody_uses_a_key_nothing_is_changed(folder, public_keys):
    user = EncryptedFiles(folder, OLD)
    user.public_key(next(iter(public_keys)))
    before = contents(folder)
    with pytest.raises(KeystoreError, match=r"in use.*systemctl stop hatchery"):
        reencrypt(folder, OLD, NEW)
    assert contents(folder) == before
    del user
    assert reencrypt(folder, OLD, NEW).changed == len(KINDS)


def test_who_only_holds_the_keys_keeps_it_out_too(folder, public_keys):
    user = EncryptedFiles(folder, OLD)
    user.hold()
    with pytest.raises(KeystoreError, match="in use"):
        reencrypt(folder, OLD, NEW)


@pytest.mark.parametrize("use", ["hold", "public_key", "create", "copies"])
def test_nobody_uses_keys_while_they_are_changed(folder, public_keys, monkeypatch, use):
    late = EncryptedFiles(folder, OLD)
    uses = {
        "hold": late.hold,
        "public_key": lambda: late.public_key(next(iter(public_keys))),
        "create": lambda: late.create("k", "P-256"),
        "copies": late.copies,
    }
    met = []

    def in_between(path, data, **_):
        with pytest.raises(KeystoreError, match="is being changed at this moment"):
            uses[use]()
        met.append(path)

    monkeypatch.setattr("pki.keystore.reencryption.write_private", in_between)
    reencrypt(folder, OLD, NEW)
    assert len(met) == len(KINDS)
    assert len(contents(folder)) == len(KINDS)


def test_a_node_whose_keys_are_yet_to_come_can_be_started(folder):
    EncryptedFiles(folder, OLD).hold()
    with pytest.raises(KeystoreError, match="must be there"):
        reencrypt(folder, OLD, NEW)
