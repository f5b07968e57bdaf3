"""Which keys are certified, and that the others are refused by their names."""

from unittest.mock import create_autospec

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from pki.core import keys
from pki.core.keys import KeyKind
from tests.core.cast import private_key, rsa_public_key

pytestmark = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")


def public_key(kind):
    return private_key(kind).public_key()


CERTIFIED = {
    "P-256": (lambda: public_key("P-256"), KeyKind.P256),
    "P-384": (lambda: public_key("P-384"), KeyKind.P384),
    "Ed25519": (lambda: public_key("Ed25519"), KeyKind.ED25519),
    "RSA-2048": (lambda: public_key("RSA-2048"), KeyKind.RSA),
    "RSA-3072": (lambda: rsa_public_key(3072), KeyKind.RSA),
    "RSA-4096": (lambda: rsa_public_key(4096), KeyKind.RSA),
    "RSA-2048 with a larger exponent": (lambda: rsa_public_key(2048, exponent=65539), KeyKind.RSA),
}


@pytest.mark.parametrize(("make", "kind"), CERTIFIED.values(), ids=CERTIFIED)
def test_it_is_certified(make, kind):
    key = make()
    assert keys.certified(key) == (kind, key)


REFUSED = [
    # the key                  how it is made                     what its refusal says
    ("RSA-1024", lambda: public_key("RSA-1024"), "RSA-1024"),
    ("RSA-2047", lambda: rsa_public_key(2047), "RSA-2047"),
    ("RSA-4097", lambda: rsa_public_key(4097), "RSA-4097"),
    ("RSA-8192", lambda: rsa_public_key(8192), "RSA-8192"),
    ("an exponent of 3", lambda: rsa_public_key(2048, exponent=3), "exponent"),
    ("an exponent of 65535", lambda: rsa_public_key(2048, exponent=65535), "exponent"),
    ("P-521", lambda: public_key("P-521"), "P-521"),
    ("secp256k1", lambda: public_key("secp256k1"), "secp256k1"),
    ("P-224", lambda: ec.generate_private_key(ec.SECP224R1()).public_key(), "secp224r1"),
    ("DSA", lambda: public_key("DSA"), "DSA"),
    ("Ed448", lambda: public_key("Ed448"), "Ed448"),
    ("X25519", lambda: public_key("X25519"), "X25519"),
]


@pytest.mark.parametrize(("make", "said"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_it_is_refused_by_name(make, said):
    with pytest.raises(keys.KeyRefused) as caught:
        keys.certified(make())
    assert said in caught.value.detail
    assert caught.value.code == "key_refused"


def test_an_even_exponent_is_refused():
    key = create_autospec(rsa.RSAPublicKey, instance=True)  # cryptography makes no such key
    key.key_size = 2048
    key.public_numbers.return_value = rsa.RSAPublicNumbers(65538, rsa_public_key(2048).public_numbers().n)
    with pytest.raises(keys.KeyRefused, match="odd"):
        keys.certified(key)


GENERATED = {
    "P-256": (KeyKind.P256, hashes.SHA256),
    "P-384": (KeyKind.P384, hashes.SHA384),
    "Ed25519": (KeyKind.ED25519, type(None)),
    "RSA-2048": (KeyKind.RSA, hashes.SHA256),
    "RSA-3072": (KeyKind.RSA, hashes.SHA256),
}


@pytest.mark.parametrize("spec", GENERATED)
def test_a_key_is_made_as_it_was_asked_for_and_signs_with_its_hash(spec):
    kind, digest = GENERATED[spec]
    key = keys.generate(spec)
    assert keys.certified(key.public_key())[0] is kind
    assert keys.describe(key.public_key()) == spec
    assert type(keys.signature_hash(key)) is digest


def test_every_key_is_a_new_one():
    assert keys.generate("Ed25519").public_key() != keys.generate("Ed25519").public_key()


@pytest.mark.parametrize("spec", ["", "p-256", "P-521", "RSA", "RSA-1024", "RSA-2049", "RSA-8192", "Ed448"])
def test_a_key_of_another_kind_is_not_made(spec):
    with pytest.raises(keys.KeyRefused) as caught:
        keys.generate(spec)
    assert repr(spec) in caught.value.detail
