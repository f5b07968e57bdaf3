"""A private key file that its owner brings along: read, used for one file, and not kept."""

from collections.abc import Callable

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

from pki.core import keys
from pki.core.errors import UNREADABLE, Refusal
from pki.core.keys import IssuerKey

_Load = Callable[[bytes, bytes | None], PrivateKeyTypes]

LARGEST = 64 * 1024  # bytes; a key of RSA-4096 with its parameters and comments has 4 KiB


class KeyFileRefused(Refusal):
    """It holds no private key of a kind that is certified here."""

    code = "key_file_refused"


class KeyFileLocked(Refusal):
    """It is encrypted, and no passphrase was given, or another one."""

    code = "key_file_locked"


class KeyMismatch(Refusal):
    """The key is not that of the certificate."""

    code = "key_mismatch"


def read(data: bytes, passphrase: str | None) -> IssuerKey:
    """The private key in a file: PEM or DER, PKCS#8 or the older forms, encrypted or not.

    A passphrase that is not needed is not looked at. Raises KeyFileLocked or KeyFileRefused.
    """
    if len(data) > LARGEST:
        raise KeyFileRefused(f"This is no private key: it has more than {LARGEST:,} bytes.")
    load: _Load = load_pem_private_key if b"-----BEGIN" in data else load_der_private_key
    try:
        key = load(data, None)
    except TypeError:  # what cryptography raises for one that is encrypted
        key = _unlocked(load, data, passphrase)
    except UNREADABLE as error:
        raise KeyFileRefused(
            "This is no private key that can be read; give a key in PEM, as openssl genpkey writes it."
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey):
        raise KeyFileRefused(f"The key is {keys.describe(key.public_key())}, which is not certified here.")
    return key


def _unlocked(load: _Load, data: bytes, passphrase: str | None) -> PrivateKeyTypes:
    if passphrase is None:
        raise KeyFileLocked("The key file is encrypted; give its passphrase.")
    try:
        return load(data, passphrase.encode())
    except UNREADABLE as error:
        raise KeyFileLocked("The key file does not open with this passphrase, or is damaged.") from error


def require_fits(key: IssuerKey, certificate: x509.Certificate) -> None:
    """Raise KeyMismatch unless the certificate is for this key."""
    if key.public_key() != certificate.public_key():
        raise KeyMismatch(
            f"The key does not fit the certificate {certificate.serial_number:x}, which is for another key: "
            "compare openssl pkey -pubout of the key with openssl x509 -pubkey of the certificate."
        )
