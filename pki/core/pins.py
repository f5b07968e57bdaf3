"""Fingerprints and pins: short names for certificates and keys."""

import base64
import hashlib
import re

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def spki(key: PublicKeyTypes) -> bytes:
    """A key's SubjectPublicKeyInfo (RFC 5280 4.1.2.7), DER."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def spki_sha256(key: PublicKeyTypes) -> str:
    """SHA-256 of the same, 64 lower-case hex digits."""
    return hashlib.sha256(spki(key)).hexdigest()


def spki_pin(key: PublicKeyTypes) -> str:
    """The same digest as a pin (RFC 7469 2.4), base64: what curl's `--pinnedpubkey sha256//…` takes."""
    return as_base64(spki_sha256(key))


def as_base64(digest: str) -> str:
    """A digest in hex as pins write it."""
    return base64.b64encode(bytes.fromhex(digest)).decode()


def from_text(text: str) -> str:
    """A digest in hex, from a pin as curl takes it (`sha256//` and base64) or from hex, with or without
    colons. Raises ValueError.
    """
    written = text.strip().removeprefix("sha256//")
    bare = written.replace(":", "").lower()
    if re.fullmatch(r"[0-9a-f]{64}", bare):
        return bare
    digest = base64.b64decode(written, validate=True)
    if len(digest) != hashlib.sha256().digest_size:
        raise ValueError("A pin is 32 bytes.")
    return digest.hex()


def fingerprint(certificate_der: bytes) -> str:
    """SHA-256 of a DER certificate, 64 lower-case hex digits."""
    return hashlib.sha256(certificate_der).hexdigest()


def fingerprint_of(certificate: x509.Certificate) -> str:
    """`fingerprint` of a parsed certificate."""
    return fingerprint(certificate.public_bytes(Encoding.DER))
