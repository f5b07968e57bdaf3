"""An installation from its backup, into an empty place.

Everything is checked before anything is written into its place. Killed in the middle, the database is the
last (SQLite), or the keys are (PostgreSQL): nothing can be served before both are there.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError, connection

from pki import keystore
from pki.core import pins
from pki.keystore import keystore_of
from pki.keystore.files import make_private_folder, temporaries, write_private
from pki.services import node
from pki.services.audit import Actor
from pki.services.complaints import reason
from pki.services.keeping import aftermath, archive, databases, manifest, passphrase
from pki.services.keeping.aftermath import Settled
from pki.services.keeping.manifest import BackupRefused, Manifest, SealedManifest

# Where the settings of the old machine are put, to be compared: those of this one are in force.
RESTORED_DOT_ENV = "restored.env"


@dataclass(frozen=True)
class Restored:
    """What came back, and what is other than it was."""

    manifest: Manifest
    settled: Settled
    dot_env: Path | None
    passphrase_kept: bool  # that of the backup is the one in our file now

    @property
    def elsewhere(self) -> list[str]:
        """The issuers whose keys were not in the backup."""
        return [issuer.name for issuer in self.manifest.issuers if not issuer.here]

    @property
    def other_settings(self) -> list[tuple[str, str, str]]:
        """Name, value then and value now of the settings that are signed into certificates."""
        now = manifest.signed_settings()
        return [
            (name, value, now[name])
            for name, value in self.manifest.settings.items()
            if now.get(name, value) != value
        ]


def restore(source: Path, actor: Actor, now: datetime, *, keep_tokens: bool = False) -> Restored:
    """Restore a backup into an empty data directory and database.

    Raises BackupRefused, KeystoreError if a key does not open, DatabaseError.
    """
    with node.alone(settings.PORTAL_DATA_DIR), _staging() as folder:
        try:
            found = archive.unpack(source, folder)
        except OSError as error:
            raise BackupRefused(f"{source} cannot be unpacked ({error.strerror}).") from error
        database = databases.here().Restoring()
        _require_fit(found.manifest)
        database.require_empty()
        _require_no_other_keys(found.manifest, folder)
        opener = _passphrase(found, folder)
        _require_keys_open(found.manifest, folder, opener)
        try:
            database.load(folder / archive.DATABASES[connection.vendor])
            call_command("migrate", interactive=False, verbosity=0)
            settled = aftermath.settle(found.manifest, actor, now, keep_tokens=keep_tokens)
            _put_files(found.manifest, folder, opener)
            database.settle()
        except BackupRefused as refused:
            raise BackupRefused(f"{refused.detail}{database.abandon()}") from refused
        except DatabaseError as error:
            raise BackupRefused(f"{reason(error)} Nothing is served yet.{database.abandon()}") from error
        except OSError as error:
            raise BackupRefused(
                f"The backup cannot be restored into {settings.PORTAL_DATA_DIR} ({error.strerror})."
                f"{database.abandon()}"
            ) from error
        except BaseException:
            database.abandon()
            raise
    dot_env = settings.PORTAL_DATA_DIR / RESTORED_DOT_ENV if archive.DOT_ENV in found.manifest.files else None
    return Restored(found.manifest, settled, dot_env, opener != settings.PORTAL_KEY_PASSPHRASE)


@contextmanager
def _staging() -> Iterator[Path]:
    folder: Path = settings.PORTAL_DATA_DIR / ".restoring"
    # What a killed one left: nobody else is in here.
    shutil.rmtree(folder, ignore_errors=True)
    make_private_folder(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _require_fit(saved: Manifest) -> None:
    if set(saved.migrations) - databases.migrations_known():
        raise BackupRefused(
            f"This backup was made by a newer Hatchery ({saved.version}; this is "
            f"{manifest.running_version()}), whose tables this one does not know; install that "
            "one, and restore with it."
        )
    name = archive.DATABASES[connection.vendor]
    if saved.database != connection.vendor or name not in saved.files:
        raise BackupRefused(
            f"This is a backup of a database of the kind {saved.database}, and DATABASE_URL names one of the "
            f"kind {connection.vendor}; restore into the same kind."
        )


def _require_no_other_keys(saved: Manifest, folder: Path) -> None:
    # The same ones are left of a restore that was killed.
    there = keystore.folder()
    for path in sorted(there.glob("*.pem")) if there.is_dir() else ():
        ours = folder / archive.KEYS / path.name
        if not ours.is_file() or ours.read_bytes() != path.read_bytes():
            raise BackupRefused(
                f"There are other keys in {there} already ({path.name}), which nothing replaces. Restore "
                "into an empty data directory (PORTAL_DATA_DIR), or move that folder away."
            )


def _passphrase(found: SealedManifest, folder: Path) -> str:
    """The passphrase of the backup: the one that is set, or that which the backup itself holds."""
    given: str = settings.PORTAL_KEY_PASSPHRASE
    if given and found.opens_with(given):
        return given
    saved = folder / archive.PASSPHRASE
    if saved.is_file() and found.opens_with(passphrase.read(saved)):
        if settings.PORTAL_PASSPHRASE_IS_GENERATED:
            return passphrase.read(saved)
        raise BackupRefused(
            f"The backup holds its passphrase, but another one is set ({passphrase.place()}). Set the one of "
            "the backup, or none, so that Hatchery keeps it in the data directory."
        )
    wanted = (
        "Set PORTAL_KEY_PASSPHRASE_FILE, or PORTAL_KEY_PASSPHRASE, to the passphrase that its keys had when "
        "it was made."
    )
    if not given:
        raise BackupRefused(f"No passphrase is set, and this backup does not hold its own. {wanted}")
    raise BackupRefused(
        f"The passphrase that is set is not that of this backup, or the backup was altered. {wanted} At this "
        f"moment {passphrase.place()}."
    )


def _require_keys_open(saved: Manifest, folder: Path, opener: str) -> None:
    """Raises KeystoreError or BackupRefused."""
    store = keystore_of(folder / archive.KEYS, opener)
    for name in saved.files:
        if name.startswith(archive.KEYS):
            store.public_key(f"file:{Path(name).stem}")
    for issuer in saved.issuers:
        if issuer.here and pins.spki_sha256(store.public_key(issuer.key_reference)) != issuer.spki_sha256:
            raise BackupRefused(f"The key of {issuer.name} in the backup is not that of its certificate.")


def _put_files(saved: Manifest, folder: Path, opener: str) -> None:
    data: Path = settings.PORTAL_DATA_DIR
    make_private_folder(keystore.folder())
    # Of a restore that was killed.
    for left in temporaries(keystore.folder()):
        left.unlink()
    for name in saved.files:
        if name.startswith(archive.KEYS):
            _put(folder / name, keystore.folder() / Path(name).name)
    kept = data / archive.SECRET_KEY
    # What was given in the settings stays in force.
    if (
        archive.SECRET_KEY in saved.files
        and kept.is_file()
        and kept.read_text().strip() == settings.SECRET_KEY
    ):
        write_private(kept, (folder / archive.SECRET_KEY).read_bytes())
    if opener != settings.PORTAL_KEY_PASSPHRASE:
        write_private(passphrase.kept_file(), opener.encode() + b"\n")
    if archive.DOT_ENV in saved.files:
        write_private(data / RESTORED_DOT_ENV, (folder / archive.DOT_ENV).read_bytes())


def _put(source: Path, target: Path) -> None:
    try:
        write_private(target, source.read_bytes(), replace=False)
    except FileExistsError:
        if target.read_bytes() != source.read_bytes():
            raise
