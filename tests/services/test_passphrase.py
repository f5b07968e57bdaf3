"""The passphrase that Hatchery keeps itself changes together with the keys, wherever it is interrupted."""

import pytest

from pki.keystore import KeystoreError, keystore, keystore_of
from pki.models import AuditEvent, Issuer
from pki.services.keeping import passphrase
from pki.services.keeping.passphrase import ChangeBegun, PassphraseRefused

OLD = "the passphrase of before"
NEW = "the passphrase of after!"


@pytest.fixture
def installation(ca, settings, actor, now):
    """One whose passphrase was generated, and that nobody uses."""
    settings.PORTAL_PASSPHRASE_IS_GENERATED = True
    (ca / "secrets").mkdir(exist_ok=True)
    passphrase.kept_file().write_text(f"{settings.PORTAL_KEY_PASSPHRASE}\n")
    _release()
    change(OLD, actor, now)
    return ca


def _release():
    keystore.cache_clear()


def change(new, actor, now):
    """As the command does it: with what the settings have read."""
    return passphrase.change(passphrase.read(passphrase.kept_file()), new, actor, now)


def opens(folder, secret):
    store = keystore_of(folder / "keys", secret)
    references = [issuer.key_reference for issuer in Issuer.objects.all()]
    return len([store.public_key(reference) for reference in references]) == 2


def test_the_file_has_the_new_one_and_the_old_one_is_nowhere(installation, actor, now):
    change(NEW, actor, now)
    assert passphrase.kept_file().read_text() == f"{NEW}\n"
    assert passphrase.kept_file().stat().st_mode & 0o077 == 0
    assert opens(installation, NEW)
    written = [
        path for path in installation.rglob("*") if path.is_file() and OLD.encode() in path.read_bytes()
    ]
    assert written == []


def test_without_a_new_one_it_makes_a_random_one(installation, actor, now):
    change(None, actor, now)
    made = passphrase.read(passphrase.kept_file())
    assert len(made) == 64
    assert opens(installation, made)


def test_interrupted_at_any_write_it_is_ended_by_running_it_again(installation, actor, now, monkeypatch):
    """After each interruption the file and the one beside it open every key between them."""
    interrupted = 0
    for last in range(200):
        with monkeypatch.context() as patch:
            reached = _interrupt_at(patch, last)
            try:
                change(NEW, actor, now)
            except SystemExit:
                interrupted += 1
        if not reached():
            break
        change(None if passphrase.kept_file().with_name("key-passphrase.new").exists() else NEW, actor, now)
        assert passphrase.read(passphrase.kept_file()) == NEW
        assert opens(installation, NEW)
        assert [path.name for path in (installation / "secrets").glob("key-passphrase*")] == [
            "key-passphrase"
        ]
        change(OLD, actor, now)
    assert interrupted > 10


def _interrupt_at(patch, last):
    import os

    real, calls = os.fsync, []

    def fsync(descriptor):
        calls.append(descriptor)
        if len(calls) == last + 1:
            raise SystemExit(9)
        real(descriptor)

    patch.setattr("os.fsync", fsync)
    return lambda: len(calls) > last


def test_one_that_was_begun_is_not_mixed_with_another(installation, actor, now):
    coming = passphrase.kept_file().with_name("key-passphrase.new")
    coming.write_text(NEW)
    with pytest.raises(ChangeBegun, match="--generate"):
        change("another passphrase altogether", actor, now)
    assert opens(installation, OLD)
    change(None, actor, now)
    assert opens(installation, NEW)


def test_what_could_not_begin_leaves_nothing_behind(installation, actor, now):
    keystore_user = keystore_of(installation / "keys", OLD)
    keystore_user.hold()
    with pytest.raises(KeystoreError, match="in use"):
        change(NEW, actor, now)
    assert not passphrase.kept_file().with_name("key-passphrase.new").exists()
    assert passphrase.read(passphrase.kept_file()) == OLD


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("nineteen characters", "fewer than 20"),
        (" a passphrase with a space", "space"),
        ("a" * 1024, "more than 1023 bytes"),
    ],
)
def test_a_passphrase_that_does_not_do_is_refused_and_not_repeated(installation, actor, now, bad, why):
    with pytest.raises(PassphraseRefused, match=why) as caught:
        change(bad, actor, now)
    assert bad not in caught.value.detail
    assert opens(installation, OLD)


def test_where_a_setting_gives_it_no_file_of_ours_is_written(installation, settings, actor, now):
    settings.PORTAL_PASSPHRASE_IS_GENERATED = False
    passphrase.kept_file().unlink()
    passphrase.change(OLD, NEW, actor, now)
    assert opens(installation, NEW)
    assert not passphrase.kept_file().exists()
    with pytest.raises(PassphraseRefused, match="--new-passphrase-file"):
        passphrase.change(NEW, None, actor, now)


def test_it_is_recorded_without_a_secret(installation, actor, now):
    before = AuditEvent.objects.filter(kind="keystore.passphrase_changed").count()
    change(NEW, actor, now)
    event = AuditEvent.objects.filter(kind="keystore.passphrase_changed").latest("pk")
    assert AuditEvent.objects.filter(kind="keystore.passphrase_changed").count() == before + 1
    assert event.detail == {"keys": len(list((installation / "keys").glob("*.pem"))), "had_it": 0}
