"""A certificate is read in words: every extension, and what is malformed says so instead of raising."""

import ipaddress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from pki.core import extensions, pins, reading
from pki.core.reading import Time
from tests.core.cast import DAY, MOMENT, SECOND, ca, issued, private_key, record, sign
from tests.core.test_hostile_bytes import damaged

URI = x509.UniformResourceIdentifier


def point(**more):
    return x509.DistributionPoint(
        **{"full_name": [URI("http://a/crl")], "relative_name": None, "reasons": None, "crl_issuer": None}
        | more
    )


OID = x509.ObjectIdentifier("1.2.3.4")
NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "other")])
READS = {
    "an end entity": (x509.BasicConstraints(False, None), ["may not sign certificates"]),
    "a CA": (x509.BasicConstraints(True, None), ["any number of CAs"]),
    "the lowest CA": (x509.BasicConstraints(True, 0), ["end entities only"]),
    "a CA with room": (x509.BasicConstraints(True, 3), ["at most 3 CAs"]),
    "key usage": (
        x509.KeyUsage(True, False, False, False, True, False, True, True, False),
        ["digitalSignature", "keyAgreement", "cRLSign", "only encipher"],
    ),
    "extended key usage": (
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH, OID]),
        ["clientAuth", "serverAuth", "1.2.3.4"],
    ),
    "alternative names": (
        x509.SubjectAlternativeName(
            [
                x509.DNSName("a.example"),
                x509.IPAddress(ipaddress.ip_address("::1")),
                x509.RFC822Name("a@b.example"),
                URI("urn:a"),
                x509.DirectoryName(NAME),
                x509.RegisteredID(OID),
                x509.OtherName(OID, b"\x05\x00"),
            ]
        ),
        ["DNS:a.example", "IP:::1", "email:a@b.example", "URI:urn:a", "CN=other", "RID:1.2.3.4", "0500"],
    ),
    "the key's name": (x509.SubjectKeyIdentifier(b"\1\xab"), ["01:AB"]),
    "the issuer's key": (
        x509.AuthorityKeyIdentifier(b"\1\xab", [x509.DirectoryName(NAME)], 255),
        ["01:AB", "CN=other", "serial ff"],
    ),
    "where to ask": (
        x509.AuthorityInformationAccess(
            [
                x509.AccessDescription(x509.AuthorityInformationAccessOID.OCSP, URI("http://a/ocsp")),
                x509.AccessDescription(x509.AuthorityInformationAccessOID.CA_ISSUERS, URI("http://a/ca")),
            ]
        ),
        ["(OCSP) at http://a/ocsp", "certificate is at http://a/ca"],
    ),
    "revocation lists": (
        x509.CRLDistributionPoints([point(reasons=frozenset([x509.ReasonFlags.key_compromise]))]),
        ["revoked is at http://a/crl", "keyCompromise"],
    ),
    "policies": (
        x509.CertificatePolicies(
            [
                x509.PolicyInformation(OID, ["http://cps", x509.UserNotice(None, "Be good")]),
                x509.PolicyInformation(x509.OID_ANY_POLICY, None),
            ]
        ),
        ["policy 1.2.3.4", "http://cps", "Be good", "any policy"],
    ),
    "name constraints": (
        x509.NameConstraints(
            [x509.DNSName("in.example")], [x509.IPAddress(ipaddress.ip_network("10.0.0.0/8"))]
        ),
        ["only names under DNS:in.example", "no names under IP:10.0.0.0/8"],
    ),
    "policy constraints": (x509.PolicyConstraints(1, 2), ["After 1 more", "After 2 more"]),
    "inhibit any policy": (x509.InhibitAnyPolicy(4), ["After 4 more"]),
    "must-staple": (x509.TLSFeature([x509.TLSFeatureType.status_request]), ["must-staple"]),
    "an unknown one": (x509.UnrecognizedExtension(OID, b"\x05\x00"), ["0500"]),
}


def with_extension(value, *, critical=False):
    builder = (
        x509.CertificateBuilder(NAME, NAME, private_key("P-256").public_key(), 7, MOMENT, MOMENT + DAY)
        .add_extension(value, critical=critical)
    )  # fmt: skip
    return sign(builder, private_key("P-256"))


@pytest.mark.parametrize(("value", "said"), READS.values(), ids=READS)
def test_an_extension_is_read_in_words(value, said):
    (read,) = extensions.in_words(with_extension(value, critical=True))
    assert read.oid == value.oid.dotted_string
    assert read.critical
    words = "\n".join(read.sentences)
    for expected in said:
        assert expected in words


def test_an_unknown_extension_is_named_by_its_oid():
    (read,) = extensions.in_words(with_extension(x509.UnrecognizedExtension(OID, b"\x05\x00")))
    assert (read.name, read.oid, read.critical) == ("unknown extension", "1.2.3.4", False)


def test_a_certificate_is_read_whole():
    certificate = issued(ca(), record("door-1", O="Example"))
    read = reading.read(certificate)
    assert read.subject == (("O", "Example"), ("CN", "door-1"))
    assert read.issuer == (("CN", "Test Issuing CA"),)
    assert int(read.serial_hex, 16) == int(read.serial_decimal) == certificate.serial_number
    assert read.fingerprint == pins.fingerprint_of(certificate)
    assert (read.key.kind, read.key.pin_base64) == ("P-256", pins.spki_pin(certificate.public_key()))
    assert read.signature == "ecdsa-with-SHA256"
    assert {"basicConstraints", "keyUsage", "extKeyUsage", "authorityInfoAccess"} <= {
        extension.name for extension in read.extensions
    }
    assert x509.load_pem_x509_certificate(read.pem.encode()) == certificate


@pytest.mark.parametrize(
    ("before_or_after", "time"),
    [
        (lambda c: c.not_valid_before_utc - SECOND, Time.NOT_YET),
        (lambda c: c.not_valid_before_utc, Time.WITHIN),
        (lambda c: c.not_valid_after_utc, Time.WITHIN),
        (lambda c: c.not_valid_after_utc + SECOND, Time.OVER),
    ],
)
def test_validity_is_inclusive(before_or_after, time):
    certificate = issued(ca(), record("door-1"))
    assert reading.time_of(certificate, before_or_after(certificate)) is time


def rich():
    builder = x509.CertificateBuilder(NAME, NAME, private_key("P-256").public_key(), 7, MOMENT, MOMENT + DAY)
    for value, _ in READS.values():
        try:
            builder = builder.add_extension(value, critical=False)
        except ValueError:
            continue  # each kind once
    return sign(builder, private_key("P-256")).public_bytes(Encoding.DER)


# A serial number that is not positive is loaded with a warning, and read.
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@settings(max_examples=1000, deadline=None)
@given(damaged([rich()]) | st.binary(max_size=50))
def test_a_damaged_certificate_is_read_as_far_as_it_goes(der):
    try:
        certificate = x509.load_der_x509_certificate(der)
    except (ValueError, x509.InvalidVersion):
        return
    read = reading.read(certificate)
    assert read.fingerprint
    assert reading.subject_of(certificate)
    assert reading.is_ca(certificate) in (True, False)
