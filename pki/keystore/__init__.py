"""Private keys and signing: the only place that holds them."""

from functools import cache
from pathlib import Path

from django.conf import settings

from pki.keystore.base import AUDIT, Keystore, KeystoreError
from pki.keystore.encrypted_files import EncryptedFiles

__all__ = ["AUDIT", "Keystore", "KeystoreError", "folder", "keystore", "keystore_of"]


@cache
def keystore() -> Keystore:
    """The keystore that the settings name."""
    return keystore_of(folder(), settings.PORTAL_KEY_PASSPHRASE)


def folder() -> Path:
    """Where the files of that keystore are."""
    path: Path = settings.PORTAL_DATA_DIR / "keys"
    return path


def keystore_of(files: Path, passphrase: str) -> Keystore:
    """A keystore of files that were saved elsewhere."""
    return EncryptedFiles(files, passphrase)
