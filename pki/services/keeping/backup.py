"""A backup: database, keys and settings in one archive, while Hatchery serves.

The database first, the keys after it: a key is on the disk before a row names it, and is never deleted, so
that every key of the rows that were copied is among the files that are copied later. The other way round, a
key that was made in between would be missing.
"""

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import connection

from pki.core import pins
from pki.core.errors import Refusal
from pki.core.keys import certified
from pki.keystore import keystore
from pki.keystore.files import make_private_folder, sync_folder
from pki.models import Issuer
from pki.services import audit
from pki.services.audit import Actor
from pki.services.keeping import archive, databases, dot_env, manifest
from pki.services.keeping.manifest import BackupRefused, Manifest, SavedIssuer
from pki.services.transactions import writing

_STAGING = ".hatchery-backup-"


class NotWritten(Refusal):
    """The backup cannot be written there."""

    code = "backup_not_written"


@dataclass(frozen=True)
class Saved:
    """What a backup holds."""

    manifest: Manifest
    size: int  # bytes of the archive
    with_passphrase: bool

    @property
    def keys(self) -> int:
        return sum(name.startswith(archive.KEYS) for name in self.manifest.files)

    @property
    def elsewhere(self) -> list[str]:
        """The issuers whose keys are not in it, because they are on another node."""
        return [issuer.name for issuer in self.manifest.issuers if not issuer.here]


def save(target: Path, actor: Actor, now: datetime, *, with_passphrase: bool = False) -> Saved:
    """Write a backup to `target`, mode 0600, whole or not at all; nothing that is there is overwritten.

    Raises NotWritten, BackupRefused if the database or a key is damaged, KeystoreError.
    """
    if os.path.lexists(target):
        raise NotWritten(
            f"{target} is there already, and backups are never overwritten; choose another name."
        )
    try:
        with _staging(target.absolute().parent) as folder:
            described = _gather(folder, now, with_passphrase=with_passphrase)
            made = folder / "archive"
            sealed = described.sealed(settings.PORTAL_KEY_PASSPHRASE)
            archive.write(made, sealed, folder, described.files, now)
            saved = Saved(described, made.stat().st_size, with_passphrase)
            _put(made, target)
    except FileExistsError:
        raise NotWritten(f"{target} was made by somebody else in the meantime, and stays.") from None
    except OSError as error:
        raise NotWritten(f"The backup cannot be written to {target} ({error.strerror}).") from error
    with writing():
        audit.record(
            "installation.backed_up",
            actor,
            now,
            level=logging.WARNING if with_passphrase else logging.INFO,
            file=str(target.absolute()),
            size=saved.size,
            keys=saved.keys,
            with_passphrase=with_passphrase,
        )
    return saved


@contextmanager
def _staging(beside: Path) -> Iterator[Path]:
    """A private folder on the file system of the target; those that killed backups left there go."""
    for left in beside.glob(f"{_STAGING}*"):
        # What is no folder, or not ours, is none of them, and no obstacle.
        with suppress(OSError), _locked(left) as free:
            if free:
                shutil.rmtree(left)
    folder = Path(tempfile.mkdtemp(prefix=_STAGING, dir=beside))
    with _locked(folder):
        try:
            yield folder
        finally:
            shutil.rmtree(folder)


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)


def _gather(folder: Path, now: datetime, *, with_passphrase: bool) -> Manifest:
    """Everything of a backup, in `folder` under its name in the archive."""
    name = archive.DATABASES[connection.vendor]
    databases.here().save(folder / name)
    for file, pem in keystore().copies().items():
        # One that does not open would be found out when it is too late.
        keystore().public_key(f"file:{Path(file).stem}")
        _write(folder / archive.KEYS / file, pem)
    issuers = tuple(map(_saved, Issuer.objects.order_by("pk")))
    secret_key = settings.PORTAL_DATA_DIR / archive.SECRET_KEY
    if secret_key.exists():
        _write(folder / archive.SECRET_KEY, secret_key.read_bytes())
    if settings.PORTAL_DOT_ENV is not None and settings.PORTAL_DOT_ENV.exists():
        text = settings.PORTAL_DOT_ENV.read_text()
        if not with_passphrase:
            text = dot_env.without_passphrase(text, settings.PORTAL_KEY_PASSPHRASE)
        _write(folder / archive.DOT_ENV, text.encode())
    if with_passphrase:
        _write(folder / archive.PASSPHRASE, settings.PORTAL_KEY_PASSPHRASE.encode() + b"\n")
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return Manifest(
        version=manifest.running_version(),
        made_at=now,
        database=connection.vendor,
        migrations=databases.migrations_applied(),
        issuers=issuers,
        settings=manifest.signed_settings(),
        files={str(path.relative_to(folder)): archive.describe(path) for path in paths},
    )


def _saved(issuer: Issuer) -> SavedIssuer:
    certificate_key = certified(issuer.certificate.public_key())[1]
    here = keystore().has(issuer.key_reference)
    if here and keystore().public_key(issuer.key_reference) != certificate_key:
        raise BackupRefused(f"The key file of {issuer} holds another key; restore it from an older backup.")
    return SavedIssuer(issuer.name, issuer.key_reference, pins.spki_sha256(certificate_key), here)


def _write(path: Path, data: bytes) -> None:
    make_private_folder(path.parent)
    path.write_bytes(data)


def _put(made: Path, target: Path) -> None:
    made.chmod(0o600)
    with made.open("rb") as file:
        os.fsync(file.fileno())
    os.link(made, target)
    sync_folder(target.absolute().parent)
