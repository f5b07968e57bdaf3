"""Private keys and signing: the only place that holds them."""

from functools import cache

from django.conf import settings

from pki.keystore.base import Keystore, KeystoreError
from pki.keystore.encrypted_files import EncryptedFiles

__all__ = ["Keystore", "KeystoreError", "keystore"]


@cache
def keystore() -> Keystore:
    """The keystore that the settings name."""
    return EncryptedFiles(settings.PORTAL_DATA_DIR / "keys", settings.PORTAL_KEY_PASSPHRASE)
