"""Keys that Hatchery makes by itself, again and again until one is stored."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pki.keystore import KeystoreError, keystore


@contextmanager
def new_key(label: str, spec: str) -> Iterator[str]:
    """The reference of a new key, which goes again if the block that stores it fails.

    While the database takes no writes, each try would leave a file otherwise. A commit whose answer was lost
    may have been one, and its key is gone if the transaction ends in the block: never so for an issuer's key,
    nor for any other that another one cannot simply follow. Raises KeystoreError.
    """
    reference = keystore().create(label, spec)
    try:
        yield reference
    except Exception:
        with suppress(KeystoreError):
            keystore().discard(reference)
        raise
