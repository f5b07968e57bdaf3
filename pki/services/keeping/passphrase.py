"""Another passphrase for the keys of this node."""

import logging
from datetime import datetime
from pathlib import Path

from django.conf import settings

from pki import keystore
from pki.core.errors import Refusal
from pki.keystore import KeystoreError, passphrases
from pki.keystore.files import remedy, sync_folder, write_private
from pki.keystore.reencryption import HalfDone, Reencrypted, reencrypt
from pki.models import AuditEvent
from pki.services import audit
from pki.services.audit import Actor
from pki.services.transactions import writing


class PassphraseRefused(Refusal):
    """Not fit to be a passphrase, or not to be had."""

    code = "passphrase_refused"


class ChangeBegun(Refusal):
    """A change to another passphrase was begun and not ended."""

    code = "passphrase_change_begun"


def change(old: str, new: str | None, actor: Actor, now: datetime) -> Reencrypted:
    """Give all keys of this node the passphrase `new`, or a random one where Hatchery keeps it itself.

    It may be killed at any moment and run again. Raises PassphraseRefused, ChangeBegun or KeystoreError.
    """
    # Asked before anything is done that could not be recorded then.
    AuditEvent.objects.exists()
    if settings.PORTAL_PASSPHRASE_IS_GENERATED:
        done = _change_kept(old, new)
    elif new is None:
        raise PassphraseRefused(
            f"Hatchery does not keep it here, {place()}. Make the new one with openssl rand -base64 32, and "
            "give it with --new-passphrase-file."
        )
    else:
        done = reencrypt(keystore.folder(), old, checked(new))
    with writing():
        audit.record(
            "keystore.passphrase_changed",
            actor,
            now,
            level=logging.WARNING,
            keys=done.changed,
            had_it=done.already,
        )
    return done


def _change_kept(old: str, new: str | None) -> Reencrypted:
    """The same where the passphrase is in a file of ours, which changes with it.

    The new one is on the disk before the first key has it, and the old one until the last key has lost it.
    """
    coming = kept_file().with_name(f"{kept_file().name}.new")
    begun = coming.exists()
    if begun:
        new = _go_on(coming, new)
    else:
        new = passphrases.generate() if new is None else checked(new)
        try:
            write_private(coming, new.encode() + b"\n", replace=False)
        except OSError as error:
            raise _not_writable(error) from error
    try:
        done = reencrypt(keystore.folder(), old, new)
    except HalfDone:
        raise
    except KeystoreError:
        if not begun:
            coming.unlink()
        raise
    try:
        coming.replace(kept_file())
        sync_folder(kept_file().parent)
    except OSError as error:
        raise PassphraseRefused(
            f"All keys have the new passphrase, but {coming} could not be renamed to {kept_file()} "
            f"({error.strerror}); do that by hand, or mend it and run this again."
        ) from error
    return done


def _go_on(coming: Path, wanted: str | None) -> str:
    begun = read(coming)
    if wanted not in (None, begun):
        raise ChangeBegun(
            f"A change was begun and not ended: its passphrase is in {coming}. End it first, with "
            "--generate; then run this again."
        )
    return begun


def checked(passphrase: str) -> str:
    """A passphrase that is fit to be one. Raises PassphraseRefused."""
    if passphrases.is_short(passphrase):
        raise PassphraseRefused(
            f"The new passphrase has fewer than {passphrases.SHORTEST} characters; "
            "try: openssl rand -base64 32"
        )
    if passphrases.is_long(passphrase):
        raise PassphraseRefused(f"The new passphrase has more than {passphrases.LONGEST} bytes.")
    if passphrase != passphrase.strip():
        raise PassphraseRefused(
            "The new passphrase begins or ends with a space, which is lost where it is read from a file."
        )
    return passphrase


def read(file: Path) -> str:
    """The passphrase in a file, as the settings read it. Raises PassphraseRefused."""
    try:
        passphrase = file.read_text().strip()
    except OSError as error:
        raise PassphraseRefused(f"The file {file} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError:
        raise PassphraseRefused(f"The file {file} is not text.") from None
    if not passphrase:
        raise PassphraseRefused(f"The file {file} is empty.")
    return passphrase


def kept_file() -> Path:
    """Where a passphrase that nobody gave is kept."""
    path: Path = settings.PORTAL_DATA_DIR / "secrets" / "key-passphrase"
    return path


def place() -> str:
    """Where the passphrase of the keys is, in words."""
    if settings.PORTAL_PASSPHRASE_IS_GENERATED:
        return f"the passphrase of the keys is in {kept_file()}"
    if settings.PORTAL_KEY_PASSPHRASE_FILE:
        return (
            "the passphrase of the keys is in the file that PORTAL_KEY_PASSPHRASE_FILE names, "
            f"{Path(settings.PORTAL_KEY_PASSPHRASE_FILE).absolute()}"
        )
    return "the passphrase of the keys is in the setting PORTAL_KEY_PASSPHRASE (the environment, or .env)"


def _not_writable(error: OSError) -> PassphraseRefused:
    return PassphraseRefused(
        f"The folder {kept_file().parent} cannot be written ({error.strerror}); {remedy(error)}. "
        "Nothing was changed."
    )
