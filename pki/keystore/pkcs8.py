"""A private key as PKCS#8 (RFC 5958), PEM, encrypted: PBES2 with AES-256-CBC."""

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from pki.core import keys


class DoesNotOpen(Exception):
    """Another passphrase, or damaged: nobody can tell which."""


class CannotSign(Exception):
    """A kind of key that is not certified here."""


def encrypt(key: keys.IssuerKey, passphrase: str) -> bytes:
    """PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase.encode()))


def decrypt(pem: bytes, passphrase: str) -> keys.IssuerKey:
    """Raises DoesNotOpen or CannotSign."""
    try:
        key = load_pem_private_key(pem, passphrase.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise DoesNotOpen from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey):
        raise CannotSign
    return key
