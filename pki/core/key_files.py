"""A private key in a file that its owner brings along, and whether it opens."""

import base64
import binascii
from collections.abc import Callable, Iterator

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key, pkcs12

from pki.core import der, keys
from pki.core.errors import UNREADABLE, Refusal
from pki.core.keys import IssuerKey

_Load = Callable[[bytes, bytes | None], PrivateKeyTypes]

LARGEST = 64 * 1024  # bytes; a key of RSA-4096 with its parameters and comments has 4 KiB
_ENCRYPTED = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"


class KeyFileRefused(Refusal):
    """It holds no private key of a kind that is certified here."""

    code = "key_file_refused"


class PassphraseNeeded(KeyFileRefused):
    """The key is encrypted, and nobody has said with what."""

    code = "passphrase_needed"


class WrongPassphrase(KeyFileRefused):
    """The key does not open."""

    code = "wrong_passphrase"


class KeyMismatch(Refusal):
    """The key is not that of the certificate."""

    code = "key_mismatch"


def read(data: bytes, passphrase: str | None) -> IssuerKey:
    """The private key in a file: PEM or DER, PKCS#8 or OpenSSL's own older forms, encrypted or not.

    A passphrase that is not needed is not looked at. Raises KeyFileRefused, PassphraseNeeded or
    WrongPassphrase.
    """
    if len(data) > LARGEST:
        raise KeyFileRefused(f"This is no private key: it has more than {LARGEST:,} bytes.")
    if any(der.most_rounds(each) > der.MOST_ROUNDS for each in _encrypted(data)):
        raise KeyFileRefused(too_many_rounds("key"))
    load: _Load = load_pem_private_key if b"-----BEGIN" in data else load_der_private_key
    try:
        return of_our_kind(load(data, None))
    except TypeError:  # what cryptography raises for one that is encrypted
        return of_our_kind(_unlocked(load, data, passphrase))
    except UNREADABLE as error:
        raise KeyFileRefused(
            "The key cannot be read: it is no private key in PEM or DER, as openssl genpkey writes it, or it "
            "is damaged."
        ) from error


def open_p12(data: bytes, password: str | None) -> pkcs12.PKCS12KeyAndCertificates | None:
    """What is in a PKCS#12 file (RFC 7292), DER; None if it does not open, or is none."""
    # A file without a password may be written with none at all, or with an empty one.
    for secret in (as_bytes(password),) if password else (None, b""):
        try:
            return pkcs12.load_pkcs12(data, secret)
        except UNREADABLE:
            continue
    return None


def of_our_kind(key: PrivateKeyTypes) -> IssuerKey:
    """The same key, if it is of a kind that is certified here. Raises KeyFileRefused."""
    if isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey):
        return key
    raise KeyFileRefused(f"The key is {keys.describe(key.public_key())}, which is not certified here.")


def as_bytes(passphrase: str) -> bytes:
    """A passphrase as it was typed, also in another encoding than UTF-8."""
    return passphrase.encode("utf-8", "surrogateescape")


def too_many_rounds(what: str) -> str:
    """Why a file is not opened that would keep a processor busy for minutes (der.MOST_ROUNDS)."""
    return (
        f"To open the {what}, its passphrase must be hashed more than {der.MOST_ROUNDS:,} times; export it "
        "again with the usual number of rounds."
    )


def require_fits(key: IssuerKey, certificate: x509.Certificate) -> None:
    """Raise KeyMismatch unless the certificate is for this key."""
    if key.public_key() != certificate.public_key():
        raise KeyMismatch(
            f"The key does not fit the certificate {certificate.serial_number:x}, which is for another key: "
            "compare openssl pkey -pubout of the key with openssl x509 -pubkey of the certificate."
        )


def _encrypted(data: bytes) -> Iterator[bytes]:
    """The DER of each encrypted PKCS#8 key in PEM (RFC 7468 11); nothing of other PEM; DER as it is."""
    if b"-----BEGIN" not in data:
        yield data
        return
    # No pattern: one that looks for an end after each beginning takes minutes where there is none.
    for block in data.split(_ENCRYPTED)[1:]:
        try:
            yield base64.b64decode(block.partition(b"-----END")[0])
        except binascii.Error:
            continue


def _unlocked(load: _Load, data: bytes, passphrase: str | None) -> PrivateKeyTypes:
    if passphrase is None:
        raise PassphraseNeeded("The key is encrypted; give its passphrase.")
    try:
        return load(data, as_bytes(passphrase))
    except UnsupportedAlgorithm:
        raise KeyFileRefused(
            "The key, or how it is encrypted, is of a kind that is not supported. Encrypt it anew: "
            "openssl pkcs8 -topk8 -v2 aes-256-cbc -in FILE -out new.key"
        ) from None
    except UNREADABLE:
        raise WrongPassphrase(
            "The key does not open with this passphrase, or it is damaged. Try the passphrase with "
            "openssl pkey -in FILE -noout. If it opens there, its encryption is too old to be read here: "
            "openssl pkcs8 -topk8 -v2 aes-256-cbc -in FILE -out new.key"
        ) from None
