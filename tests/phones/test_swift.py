"""examples/swift: its grammar, and the CSR that its lines build. No Swift compiler is here."""

import re

import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pyasn1.codec.der import encoder
from pyasn1.type.univ import OctetString

from pki.core import csr, pins
from tests.phones import swift
from tests.server import ROOT

FOLDER = ROOT / "examples" / "swift"
REQUEST = (FOLDER / "CertificationRequest.swift").read_bytes()


def key_and_point():
    key = ec.generate_private_key(ec.SECP256R1())
    return key, key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def made_by_swift(name: str, source: bytes = REQUEST):
    key, point = key_and_point()
    signed = lambda message: key.sign(message, ec.ECDSA(hashes.SHA256()))  # noqa: E731
    return key, swift.functions(source)["certificationRequest"](name, point, signed)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.swift")), ids=lambda path: path.name)
def test_each_file_is_swift_and_a_broken_copy_is_not(path):
    source = path.read_bytes()
    assert swift.faults(source) == []
    assert swift.faults(
        source.replace(b"guard ", b"guard guard ", 1).replace(b") -> Data {", b") -> -> {", 1)
    )


def is_what_cryptography_makes(name: str, source: bytes = REQUEST) -> bool:
    """But for the signature, which is another each time."""
    key, pem = made_by_swift(name, source)
    attribute = x509.NameAttribute(x509.NameOID.COMMON_NAME, name)
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([attribute]))
    expected = builder.sign(key, hashes.SHA256())
    try:
        found = x509.load_pem_x509_csr(pem)
        return (
            found.is_signature_valid
            and found.tbs_certrequest_bytes == expected.tbs_certrequest_bytes
            and found.signature_algorithm_oid == expected.signature_algorithm_oid
            and found.public_bytes(Encoding.PEM) == pem
        )
    except (ValueError, UnsupportedAlgorithm):
        return False


@pytest.mark.parametrize("name", ["door-1", "D" * 64, "türklingel-3"])
def test_the_csr_is_what_cryptography_makes(name):
    assert is_what_cryptography_makes(name)


@pytest.mark.parametrize("constant", [b"0x55, 0x04, 0x03", b"0x04, 0x03, 0x02", b"0x03, 0x01, 0x07", b"0x0C"])
def test_a_wrong_byte_in_its_constants_would_be_found(constant):
    assert REQUEST.count(constant) in (1, 2)
    head, _, tail = REQUEST.rpartition(constant)
    assert not is_what_cryptography_makes("door-1", head + constant[:-1] + b"9" + tail)


@pytest.mark.parametrize("size", [0, 0x7F, 0x80, 0xFF, 0x100, 0xFFFF])
def test_lengths_are_those_of_der(size):
    tagged = swift.functions(REQUEST)["DER"]["tagged"]
    assert tagged(0x04, bytes(size)) == encoder.encode(OctetString(bytes(size)))


def test_hatchery_takes_it():
    key, pem = made_by_swift("door-1")
    verified = csr.verify(pem)
    assert pins.spki(verified.key) == pins.spki(key.public_key())


def test_the_pin_is_over_the_header_that_a_csr_has_and_the_point():
    key, point = key_and_point()
    header = swift.functions(REQUEST)["DER"]["p256Header"]
    assert header + point == pins.spki(key.public_key())
    pinned = (FOLDER / "Identity.swift").read_text().partition("func pin(of")[2]
    assert "SHA256.hash(data: DER.p256Header + point)).base64EncodedString()" in pinned


def test_what_it_asks_for_is_what_hatchery_serves():
    source = (FOLDER / "Hatchery.swift").read_text()
    paths = re.findall(r'(?:appendingPathComponent\(|get\()"([a-z-]+)"', source)
    assert set(paths) == {"sign-csr", "renew", "secure"}
