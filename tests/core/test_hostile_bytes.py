"""Whatever bytes come, `csr.verify` proves them or refuses them, and does nothing else (Hypothesis)."""

import base64
import ipaddress
import re

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pki.core import csr, names, profiles
from pki.core.csr import VerifiedRequest
from pki.core.errors import Refusal
from pki.core.keys import KeyKind
from pki.core.names import NameRefused, San, SanKind
from pki.core.profiles import Record
from tests.core.cast import block, csr_der, private_key, read_back, request_info, rules, signed_anew

# cryptography warns of a CN that is longer than 64 bytes, and we refuse it where it matters.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

often = settings(max_examples=400, deadline=None)
CSR = "CERTIFICATE REQUEST"
UTF8 = x509.name._ASN1Type.UTF8String
BIT_STRING = x509.name._ASN1Type.BitString


def proven_or_refused(pem):
    """The one thing that must hold of any input. Anything else that is raised fails the test."""
    try:
        outcome = csr.verify(pem)
    except Refusal as refusal:
        outcome = refusal
    if isinstance(outcome, VerifiedRequest):
        assert csr.verify_der(outcome.der) == outcome
    else:
        assert outcome.code != Refusal.code, "every refusal has a code of its own"
        assert outcome.detail.isprintable()


# --- Bytes ----------------------------------------------------------------------------------------


@often
@given(st.binary(max_size=512))
def test_any_bytes_are_proven_or_refused(body):
    proven_or_refused(body)


FRAGMENTS = [
    *(f"-----{word} {label}-----".encode() for word in ("BEGIN", "END") for label in
      (CSR, "NEW CERTIFICATE REQUEST", "CERTIFICATE", "PRIVATE KEY", "A" * 70, " ", "é")),
    b"-----", b"BEGIN ", b"\n", b"\r\n", b"\0", b" ", b"=", b"====", b"MIIB", b"Proc-Type: 4,ENCRYPTED\n\n",
    base64.encodebytes(csr_der()),
]  # fmt: skip


@often
@given(st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=20), max_size=12))
def test_anything_that_looks_like_pem_is_proven_or_refused(fragments):
    proven_or_refused(b"".join(fragments))


@often
@given(st.binary(max_size=300))
def test_a_block_with_any_content_is_proven_or_refused(content):
    proven_or_refused(block(CSR, content))


# --- Real requests, damaged -----------------------------------------------------------------------


def rich_request():
    """A request that asks for one of everything."""
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
            x509.NameAttribute(NameOID.COMMON_NAME, "door-1"),
            x509.NameAttribute(NameOID.X500_UNIQUE_IDENTIFIER, b"\0\1", BIT_STRING),
        ]
    )
    sans = x509.SubjectAlternativeName(
        [
            x509.DNSName("door.example"),
            x509.IPAddress(ipaddress.ip_address("::1")),
            x509.RFC822Name("a@door.example"),
            x509.UniformResourceIdentifier("urn:door:1"),
            x509.DirectoryName(name),
            x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
            x509.OtherName(x509.ObjectIdentifier("1.2.3"), b"\x05\x00"),
        ]
    )
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(name)
        .add_extension(sans, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=3), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.TLSFeature([x509.TLSFeatureType.status_request]), critical=False)
        .add_extension(
            x509.NameConstraints([x509.IPAddress(ipaddress.ip_network("10.0.0.0/8"))], None), critical=True
        )
        .add_extension(x509.PolicyConstraints(1, 2), critical=False)
        .add_extension(
            x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("1.2.3"), ["x"])]),
            critical=False,
        )
        .add_attribute(x509.oid.AttributeOID.CHALLENGE_PASSWORD, b"secret")
        .sign(private_key("P-256"), hashes.SHA256())
        .public_bytes(Encoding.DER)
    )


RICH = rich_request()
REQUESTS = [RICH, csr_der("door-1"), csr_der("door-1", key=private_key("Ed25519"))]


@st.composite
def damaged(draw, originals):
    """One of `originals` with some bytes flipped, put in or taken out."""
    der = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(der) - 1))
        match draw(st.sampled_from(["flip", "set", "insert", "delete"])):
            case "flip":
                der[place] ^= 1 << draw(st.integers(0, 7))
            case "set":
                der[place] = draw(st.integers(0, 255))
            case "insert":
                der[place:place] = draw(st.binary(min_size=1, max_size=4))
            case "delete":
                del der[place : place + draw(st.integers(1, 4))]
    return bytes(der)


@often
@given(damaged(REQUESTS))
def test_a_damaged_request_is_proven_or_refused(der):
    proven_or_refused(block(CSR, der))


# A TLS feature that cryptography does not know (KeyError), and another version (InvalidVersion).
INFO = request_info(RICH)
UNKNOWN_FEATURE = INFO.replace(bytes.fromhex("3003020105"), bytes.fromhex("3003020107"))
OTHER_VERSION = re.sub(rb"\x02\x01\x00", b"\x02\x01\x01", INFO, count=1)


@settings(max_examples=1000, deadline=None)
@example(UNKNOWN_FEATURE)
@example(OTHER_VERSION)
@given(damaged([INFO]))
def test_a_damaged_request_with_a_good_signature_is_proven_or_refused(info):
    """A hostile device signs what it likes: only this comes to the names and extensions."""
    proven_or_refused(block(CSR, signed_anew(info)))


def test_what_is_damaged_was_proven_before():
    """Otherwise the tests above would meet no more than the first check."""
    assert csr.verify(block(CSR, signed_anew(INFO))).sans
    assert UNKNOWN_FEATURE != INFO != OTHER_VERSION


# --- Well-formed requests with any wishes ---------------------------------------------------------

OIDS = [
    *(attribute.oid for attribute in names.SUBJECT_ATTRIBUTES.values()),
    NameOID.SERIAL_NUMBER,
    NameOID.DOMAIN_COMPONENT,
    x509.ObjectIdentifier("1.2.3.4"),
]
any_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80)
any_ascii = st.text(st.characters(max_codepoint=127), max_size=80)

general_names = st.one_of(
    any_ascii.map(lambda value: x509.DNSName._init_without_validation(value)),
    any_ascii.map(lambda value: x509.RFC822Name._init_without_validation(value)),
    any_ascii.map(lambda value: x509.UniformResourceIdentifier._init_without_validation(value)),
    st.ip_addresses().map(x509.IPAddress),
    st.just(x509.RegisteredID(x509.ObjectIdentifier("1.2.3"))),
)
extensions = st.tuples(
    st.sampled_from(
        [oid for oid in vars(ExtensionOID).values() if isinstance(oid, x509.ObjectIdentifier)]
    ).filter(lambda oid: oid != ExtensionOID.SUBJECT_ALTERNATIVE_NAME),
    st.binary(max_size=20)
    | st.sampled_from([b"\x30\x00", b"\x30\x03\x02\x01\x07", b"\x05\x00", b"\x04\x00"]),
)


@often
@given(
    st.lists(st.tuples(st.sampled_from(OIDS), any_text), max_size=5),
    st.lists(general_names, max_size=5),
    st.lists(extensions, max_size=3, unique_by=lambda extension: extension[0]),
)
def test_a_request_with_any_wishes_is_proven_or_refused(subject, sans, others):
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name(x509.NameAttribute(oid, value, UTF8, _validate=False) for oid, value in subject)
    )
    if sans:
        builder = builder.add_extension(x509.SubjectAlternativeName(sans), critical=False)
    for oid, value in others:
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
    proven_or_refused(builder.sign(private_key("P-256"), hashes.SHA256()).public_bytes(Encoding.PEM))


# --- Names ----------------------------------------------------------------------------------------

dns_names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?(\.[a-z0-9]{1,10}){0,3}", fullmatch=True)
sans_that_parse = st.one_of(
    dns_names.map("DNS:{}".format),
    st.ip_addresses().map("IP:{}".format),
    st.tuples(st.from_regex(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]{1,20}", fullmatch=True), dns_names)
    .filter(lambda parts: "." in parts[1])
    .map("email:{0[0]}@{0[1]}".format),
    st.from_regex(
        r"URI:[a-z][a-z0-9+.-]{0,5}:([a-z0-9._~:/?#@!$&()*+,;=-]|%[0-9A-F]{2}){1,40}", fullmatch=True
    ),
)
texts_for_sans = st.one_of(
    any_text,
    sans_that_parse,
    st.tuples(st.sampled_from(["DNS:", "IP:", "email:", "URI:", "dns:", "IP:::1%"]), any_text).map("".join),
)


@often
@given(sans_that_parse)
def test_a_san_that_is_read_survives_writing_and_a_certificate(text):
    san = names.parse_san(text)
    assert names.parse_san(str(san)) == san
    assert names.sans_of(read_back([san.general_name()])) == ([san], [])


@often
@example("IP:fe80::1%eth0")  # a certificate has no room for the zone
@given(texts_for_sans)
def test_any_text_is_a_san_that_a_certificate_can_hold_or_is_refused(text):
    try:
        san = names.parse_san(text)
    except NameRefused:
        return
    assert names.sans_of(read_back([san.general_name()])) == ([san], [])


@often
@given(any_text | st.from_regex(names.DEVICE_NAME, fullmatch=True))
def test_any_text_is_a_name_that_a_subject_can_hold_or_is_refused(text):
    try:
        name = names.device_name(text)
    except NameRefused:
        return
    assert name == text
    assert names.subject_attributes(names.subject({"CN": name})) == {"CN": name}


@often
@given(any_text)
def test_any_text_is_a_pattern_or_is_refused(text):
    try:
        assert names.name_pattern(text) == text
    except NameRefused:
        pass


@often
@example("fe80::1%eth0")  # a certificate has no room for the zone
@given(any_text | st.ip_addresses().map(str))
def test_any_text_is_a_host_or_is_refused(text):
    try:
        san = names.host_san(text)
    except NameRefused:
        return
    assert names.parse_san(str(san)) == san


@often
@example({"CN": "é" * 64})  # cryptography counts bytes
@given(st.dictionaries(st.sampled_from(list(names.SUBJECT_ATTRIBUTES)) | any_text, any_text | st.just("DE")))
def test_any_attributes_are_a_subject_or_are_refused(attributes):
    try:
        name = names.subject(attributes)
    except NameRefused:
        return
    assert names.subject_attributes(name) == attributes
    assert names.checked_subject(attributes) == attributes


# --- Granting -------------------------------------------------------------------------------------

words = st.sampled_from(["A", "B", "C"])
few_sans = st.lists(
    st.sampled_from(
        [
            San(SanKind.DNS, "a.example"),
            San(SanKind.DNS, "b.example"),
            San(SanKind.IP, "10.0.0.1"),
            San(SanKind.EMAIL, "a@a.example"),
            San(SanKind.URI, "urn:a:b"),
        ]
    ),
    max_size=4,
).map(tuple)
shorts = st.sampled_from(["ST", "L", "O", "OU"])


@often
@given(
    common_name=st.none() | st.just("door-1"),
    wished_subject=st.dictionaries(shorts | st.just("2.5.4.5"), words),
    wished_sans=few_sans,
    recorded_subject=st.dictionaries(shorts, words),
    recorded_sans=few_sans,
    attributes=st.frozensets(shorts | st.just("CN")),
    kinds=st.frozensets(st.sampled_from(SanKind)),
)
def test_no_name_is_granted_that_the_profile_does_not_allow(
    common_name, wished_subject, wished_sans, recorded_subject, recorded_sans, attributes, kinds
):
    request = VerifiedRequest(
        der=b"",
        key=private_key("P-256").public_key(),
        key_kind=KeyKind.P256,
        spki_sha256="",
        subject={**wished_subject, **({"CN": common_name} if common_name else {})},
        sans=wished_sans,
        ignored=(),
    )
    granted = profiles.grant(
        rules(subject_from_request=attributes, sans_from_request=kinds),
        Record("door-1", recorded_subject, recorded_sans),
        request,
    )
    subject = names.subject_attributes(granted.subject)
    assert subject.pop("CN") == "door-1"
    chosen = {short: value for short, value in wished_subject.items() if short in attributes}
    assert subject == {**chosen, **recorded_subject}
    may_choose = {san for san in wished_sans if san.kind in kinds}
    assert set(granted.sans) == set(recorded_sans) | may_choose
    assert len(granted.sans) == len(set(granted.sans))
    denied = {f"SAN {san}" for san in wished_sans if san not in granted.sans}
    denied |= {f"subject {short}" for short, value in wished_subject.items() if subject.get(short) != value}
    assert set(granted.ignored) == denied
