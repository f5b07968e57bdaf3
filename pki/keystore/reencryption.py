"""Another passphrase for a folder of keys.

Killed at any moment it leaves each key whole, under one of the two passphrases; run again, it ends what was
begun.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pki.core.keys import IssuerKey
from pki.keystore import holding, pkcs8
from pki.keystore.base import KeystoreError
from pki.keystore.files import remedy, temporaries, write_private

_MOST_NAMED = 3  # files in one sentence


class HalfDone(KeystoreError):
    """Some keys have the new passphrase, and some the old one yet."""


@dataclass(frozen=True)
class Reencrypted:
    """How many keys were encrypted anew, and how many had the new passphrase before."""

    changed: int
    already: int


def reencrypt(folder: Path, old: str, new: str) -> Reencrypted:
    """Encrypt all keys in `folder` with `new`, while nobody else uses them.

    Raises KeystoreError before anything is written if one of them opens with neither passphrase; HalfDone
    if the disk fails in the middle.
    """
    with holding.alone(folder):
        try:
            paths = sorted(folder.glob("*.pem"))
            waiting = _waiting(folder, {path: path.read_bytes() for path in paths}, old, new)
        except OSError as error:
            raise KeystoreError(
                f"The key file {error.filename} cannot be read ({error.strerror}); run as its owner. "
                "Nothing was changed."
            ) from error
        _write_all(folder, waiting, new)
        return Reencrypted(len(waiting), len(paths) - len(waiting))


def _waiting(folder: Path, files: Mapping[Path, bytes], old: str, new: str) -> dict[Path, IssuerKey]:
    """The keys that are under the old passphrase yet."""
    waiting, closed = {}, []
    for path, pem in files.items():
        try:
            if not _opens(pem, new):
                waiting[path] = pkcs8.decrypt(pem, old)
        except (pkcs8.DoesNotOpen, pkcs8.CannotSign):
            closed.append(path)
    if closed and len(closed) == len(files):
        raise KeystoreError(
            f"No key in {folder} opens with the old passphrase, or with the new one: the old one is wrong. "
            "Set PORTAL_KEY_PASSPHRASE or PORTAL_KEY_PASSPHRASE_FILE as it was. Nothing was changed."
        )
    if closed:
        raise KeystoreError(
            f"{_named(closed)} with neither passphrase, and so may be damaged; restore such a file from a "
            "backup, or move it elsewhere if nothing needs it. Nothing was changed."
        )
    return waiting


def _opens(pem: bytes, passphrase: str) -> bool:
    try:
        pkcs8.decrypt(pem, passphrase)
    except pkcs8.DoesNotOpen:
        return False
    return True


def _write_all(folder: Path, waiting: Mapping[Path, IssuerKey], new: str) -> None:
    done = 0
    try:
        for path, key in waiting.items():
            write_private(path, _reencrypted(key, new))
            done += 1
        # Also what a run before this one, or the making of a key, left when it was killed.
        for path in temporaries(folder):
            path.unlink()
    except OSError as error:
        sentence = f"The key folder {folder} cannot be written ({error.strerror}); {remedy(error)}."
        if not done:
            raise KeystoreError(f"{sentence} Nothing was changed.") from error
        raise HalfDone(
            f"{sentence} {done} of {len(waiting)} keys have the new passphrase by now, the others the old "
            "one: keep both, and run this again, which goes on from there."
        ) from error


def _reencrypted(key: IssuerKey, passphrase: str) -> bytes:
    pem = pkcs8.encrypt(key, passphrase)
    # What takes the place of the only copy must open.
    if pkcs8.decrypt(pem, passphrase).public_key() != key.public_key():
        raise KeystoreError("A key that was encrypted anew is another one; nothing of it was written.")
    return pem


def _named(paths: list[Path]) -> str:
    names = ", ".join(map(str, paths[:_MOST_NAMED]))
    more = len(paths) - _MOST_NAMED
    return f"{names}{f' and {more} more' if more > 0 else ''} open{'s' if len(paths) == 1 else ''}"
