"""Keys that Hatchery makes by itself, again and again until one is stored."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pki.keystore import KeystoreError, keystore


@contextmanager
def new_key(label: str, spec: str) -> Iterator[str]:
    """The reference of a new key, which goes again if the block that stores it fails.

    While the database takes no writes, each try would leave a file otherwise. Never for an issuer's key: a
    commit whose answer was lost may have been one. Raises KeystoreError.
    """
    reference = keystore().create(label, spec)
    try:
        yield reference
    except Exception:
        with suppress(KeystoreError):
            keystore().discard(reference)
        raise
