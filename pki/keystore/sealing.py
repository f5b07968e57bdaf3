"""A seal on a text: who does not know the keystore's passphrase cannot make one for another text."""

import hashlib
import hmac
import secrets

_SALT = 16  # bytes


def seal(passphrase: str, text: bytes) -> str:
    """Salt and HMAC-SHA-256 of `text`, in hex, with a colon between."""
    salt = secrets.token_bytes(_SALT)
    return f"{salt.hex()}:{_mac(passphrase, salt, text).hex()}"


def is_sealed(passphrase: str, text: bytes, shown: str) -> bool:
    """Whether `shown` is a seal on `text` by this passphrase."""
    salt, _, mac = shown.partition(":")
    try:
        return hmac.compare_digest(_mac(passphrase, bytes.fromhex(salt), text), bytes.fromhex(mac))
    except ValueError:
        return False


def _mac(passphrase: str, salt: bytes, text: bytes) -> bytes:
    # RFC 7914: 32 MiB and some 60 ms a guess.
    key = hashlib.scrypt(passphrase.encode(), salt=salt, n=2**15, r=8, p=1, maxmem=64 * 2**20, dklen=32)
    return hmac.digest(key, text, "sha256")
