"""Fingerprints and pins are those that OpenSSL shows."""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pki.core import pins
from tests.clients import run
from tests.core.cast import ca, private_key

KINDS = ["P-256", "P-384", "Ed25519", "RSA-2048"]


def spki_of(key):
    """A key's SubjectPublicKeyInfo, DER, as OpenSSL writes it."""
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return run("openssl", "pkey", "-pubin", "-outform", "DER", stdin=pem).stdout


@pytest.mark.parametrize("kind", KINDS)
def test_a_pin_is_the_digest_of_the_public_key(kind):
    key = private_key(kind).public_key()
    digest = hashlib.sha256(spki_of(key))
    assert pins.spki_sha256(key) == digest.hexdigest()
    assert pins.spki_pin(key) == base64.b64encode(digest.digest()).decode()


def test_a_fingerprint_is_the_one_that_openssl_shows():
    certificate = ca().root
    shown = run(
        *("openssl", "x509", "-noout", "-fingerprint", "-sha256"),
        stdin=certificate.public_bytes(Encoding.PEM),
    ).stdout.decode()
    expected = shown.strip().partition("=")[2].replace(":", "").lower()
    assert pins.fingerprint_of(certificate) == expected
    assert pins.fingerprint(certificate.public_bytes(Encoding.DER)) == expected
