"""Only a well-formed CSR, signed by the key that it holds, becomes a VerifiedRequest."""

import base64
import hashlib
from pathlib import Path

import cryptography_vectors
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pki.core import csr, keys, names
from tests.clients import make_csr, run
from tests.core.cast import block, csr_der, private_key, request_info, signed_anew

CSR = "CERTIFICATE REQUEST"
VECTORS = Path(cryptography_vectors.__file__).parent / "x509" / "requests"


def refused(pem):
    with pytest.raises(csr.Refusal) as caught:
        csr.verify(pem)
    return caught.value


def with_another_name_after_signing():
    return csr_der("door-1").replace(b"door-1", b"door-2")


def with_another_key_after_signing():
    """Somebody else's public key in one's own request: no proof of possession."""
    mine, other = (
        key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        for key in (private_key("P-256"), ec.generate_private_key(ec.SECP256R1()))
    )
    return csr_der("door-1", key=private_key("P-256")).replace(mine, other)


REFUSED = [
    # what arrives                        how it is made                                      its refusal
    ("nothing", lambda: b"", csr.CsrMissing, "csr_missing"),
    ("white space", lambda: b" \r\n\t\n", csr.CsrMissing, "csr_missing"),
    ("words", lambda: b"a certificate, please", csr.CsrNotPem, "csr_not_pem"),
    ("bytes", lambda: bytes(range(256)), csr.CsrNotPem, "csr_not_pem"),
    ("a CSR in DER", csr_der, csr.CsrNotPem, "csr_not_pem"),
    ("base64 alone", lambda: base64.encodebytes(csr_der()), csr.CsrNotPem, "csr_not_pem"),
    ("an end without a begin", lambda: make_csr("a").partition(b"\n")[2], csr.CsrNotPem, "csr_not_pem"),
    (
        "a begin without an end",
        lambda: make_csr("a").rpartition(b"-----END")[0],
        csr.CsrMalformed,
        "csr_malformed",
    ),
    ("truncated DER", lambda: block(CSR, csr_der()[:-20]), csr.CsrMalformed, "csr_malformed"),
    ("a byte behind the DER", lambda: block(CSR, csr_der() + b"\0"), csr.CsrMalformed, "csr_malformed"),
    ("an empty block", lambda: block(CSR, b""), csr.CsrMalformed, "csr_malformed"),
    ("no base64 in the block", lambda: make_csr("a").replace(b"M", b"*"), csr.CsrMalformed, "csr_malformed"),
    (
        "other DER in the block",
        lambda: block(CSR, b"\x30\x03\x02\x01\x00"),
        csr.CsrMalformed,
        "csr_malformed",
    ),
    ("a certificate's label", lambda: block("CERTIFICATE", csr_der()), csr.CsrWrongLabel, "csr_wrong_label"),
    ("a public key", lambda: block("PUBLIC KEY", b"\x30\x00"), csr.CsrWrongLabel, "csr_wrong_label"),
    ("a label of blanks", lambda: block("   ", csr_der()), csr.CsrWrongLabel, "csr_wrong_label"),
    ("two CSRs", lambda: make_csr("a") + make_csr("b"), csr.CsrWrongLabel, "csr_wrong_label"),
    (
        "a CSR and a certificate",
        lambda: make_csr("a") + block("CERTIFICATE", b"\x30\x00"),
        csr.CsrWrongLabel,
        "csr_wrong_label",
    ),
    (
        "a name changed after signing",
        lambda: block(CSR, with_another_name_after_signing()),
        csr.CsrForged,
        "csr_signature_invalid",
    ),
    (
        "a key changed after signing",
        lambda: block(CSR, with_another_key_after_signing()),
        csr.CsrForged,
        "csr_signature_invalid",
    ),
    (
        "more than any CSR needs",
        lambda: make_csr("a") + b"#" * csr.LARGEST_CSR,
        csr.CsrTooLarge,
        "csr_too_large",
    ),
]


@pytest.mark.parametrize(
    ("made", "refusal", "code"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_it_is_refused_by_name(made, refusal, code):
    caught = refused(made())
    assert type(caught) is refusal
    assert caught.code == code
    assert caught.detail.endswith(".")


@pytest.mark.parametrize("kind", ["RSA-1024", "P-521", "secp256k1", "DSA", "Ed448"])
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_a_request_for_a_key_that_is_not_certified_is_refused_and_the_key_named(kind):
    refusal = refused(make_csr("door-1", key=private_key(kind)))
    assert type(refusal) is keys.KeyRefused
    assert f"The key is {kind};" in refusal.detail


@pytest.mark.parametrize("exponent", [b"\x01\x00\x02", b"\x00\x00\x03"], ids=["even", "not DER"])
def test_a_request_for_an_rsa_key_that_no_library_would_make_is_refused(exponent):
    der = csr_der("door-1", key=private_key("RSA-2048"))
    assert der.count(b"\x02\x03\x01\x00\x01") == 1  # INTEGER 65537
    refusal = refused(block(CSR, der.replace(b"\x02\x03\x01\x00\x01", b"\x02\x03" + exponent)))
    assert type(refusal) is keys.KeyRefused


@pytest.mark.parametrize(
    ("label", "format_", "encryption"),
    [
        ("PRIVATE KEY", PrivateFormat.PKCS8, NoEncryption()),
        ("ENCRYPTED PRIVATE KEY", PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")),
        ("EC PRIVATE KEY", PrivateFormat.TraditionalOpenSSL, NoEncryption()),
        ("OPENSSH PRIVATE KEY", PrivateFormat.OpenSSH, NoEncryption()),
    ],
)
@pytest.mark.parametrize("company", ["alone", "before the CSR", "behind the CSR"])
def test_a_private_key_is_refused_as_what_it_is_and_never_repeated(label, format_, encryption, company):
    pem = private_key("P-256").private_bytes(Encoding.PEM, format_, encryption)
    assert f"BEGIN {label}-----".encode() in pem
    request = make_csr("door-1")
    body = {"alone": pem, "before the CSR": pem + request, "behind the CSR": request + pem}[company]
    refusal = refused(body)
    assert type(refusal) is csr.PrivateKeySent
    assert refusal.code == "private_key_sent"
    assert not any(line in refusal.detail for line in pem.decode().splitlines()[1:-1])


def test_an_rsa_private_key_is_refused_as_what_it_is():
    pem = private_key("RSA-2048").private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )
    assert type(refused(pem)) is csr.PrivateKeySent


ACCEPTED = {
    "as OpenSSL writes it": lambda pem: pem,
    "text around the block": lambda pem: b"Certificate Request:\n  Subject: CN=door-1\n" + pem + b"\nBye.\n",
    "the older label": lambda pem: pem.replace(b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST"),
    "lines that end in CR LF": lambda pem: pem.replace(b"\n", b"\r\n"),
    "no line break at the end": lambda pem: pem.rstrip(),
    "as large as may be": lambda pem: b"#" * (csr.LARGEST_CSR - len(pem) - 1) + b"\n" + pem,
}


@pytest.mark.parametrize("change", ACCEPTED.values(), ids=ACCEPTED)
def test_it_is_read(change):
    key = private_key("P-256")
    request = csr.verify(change(make_csr("door-1", key=key)))
    assert request.common_name == "door-1"
    assert request.key == key.public_key()


@pytest.mark.parametrize("kind", ["P-256", "P-384", "Ed25519", "RSA-2048"])
def test_a_request_for_a_key_of_a_certified_kind_is_proven(kind):
    key = private_key(kind)
    der = csr_der("door-1", key=key)
    request = csr.verify(block(CSR, der))
    assert request.der == der
    assert request.key == key.public_key()
    assert request.key_kind == kind.partition("-2048")[0]
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert request.spki_sha256 == hashlib.sha256(spki).hexdigest()


def test_a_request_that_openssl_made_is_proven(tmp_path):
    run("openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", "my.key", cwd=tmp_path)
    made = run("openssl", "req", "-new", "-key", "my.key", "-subj", "/CN=my-device/O=Demo", cwd=tmp_path)
    assert csr.verify(made.stdout).subject == {"CN": "my-device", "O": "Demo"}


def test_a_stored_request_is_proven_again_from_its_der():
    first = csr.verify(make_csr("door-1", sans=[x509.DNSName("door-1.example")]))
    assert csr.verify_der(first.der) == first


@pytest.mark.parametrize("der", [b"", b"\x30\x00", csr_der()[:-1]], ids=["empty", "other DER", "truncated"])
def test_what_is_stored_must_still_be_a_request(der):
    with pytest.raises(csr.CsrMalformed):
        csr.verify_der(der)


def test_a_stored_request_that_was_tampered_with_is_refused():
    with pytest.raises(csr.CsrForged):
        csr.verify_der(with_another_name_after_signing())


def test_what_a_request_wishes_is_read_and_what_no_profile_grants_is_put_into_words():
    key = private_key("P-256")
    pem = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(
            x509.Name(
                [
                    x509.NameAttribute(NameOID.COMMON_NAME, "door-1"),
                    x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example"),
                    x509.NameAttribute(NameOID.SERIAL_NUMBER, "4711"),
                ]
            )
        )
        .add_extension(
            x509.SubjectAlternativeName(
                [
                    x509.DNSName("door-1.example"),
                    x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
                    x509.DNSName("not a name"),
                ]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )
    request = csr.verify(pem)
    assert request.subject == {"CN": "door-1", "O": "Example", "2.5.4.5": "4711"}
    assert request.sans == (names.San(names.SanKind.DNS, "door-1.example"),)
    assert set(request.ignored) == {
        "SAN RegisteredID",
        "SAN malformed DNS",
        "extension 2.5.29.19",  # basicConstraints
        "extension 2.5.29.37",  # extendedKeyUsage
    }


def test_a_request_without_a_name_has_no_common_name():
    assert csr.verify(make_csr(None)).common_name is None


@pytest.mark.parametrize("value", ["door\0-1", "door\n1", "\u202edoor", "x" * 10_000, ""])
@pytest.mark.filterwarnings("ignore:Attribute's length must be:UserWarning")
def test_a_name_that_nobody_would_grant_is_read_as_it_stands(value):
    assert csr.verify(make_csr(value)).common_name == value


def a_request_of_another_version():
    info = request_info(csr_der(key=private_key("P-256")))
    assert info.count(b"\x02\x01\x00") == 1  # INTEGER 0, which is version 1 (RFC 2986 4.1)
    return signed_anew(info.replace(b"\x02\x01\x00", b"\x02\x01\x01"))


def extended_der(*oids_and_values):
    """A CSR in DER with extensions of any content."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    for oid, value in zip(oids_and_values[::2], oids_and_values[1::2], strict=True):
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(private_key("P-256"), hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    "made",
    [lambda: block(CSR, a_request_of_another_version()), (VECTORS / "bad-version.pem").read_bytes],
    ids=["signed", "cryptography's vector"],
)
def test_a_request_of_another_version_is_refused(made):
    # cryptography's InvalidVersion is no ValueError.
    assert type(refused(made())) is csr.CsrMalformed


@pytest.mark.parametrize(
    ("oid", "value"),
    [
        (
            "1.3.6.1.5.5.7.1.24",
            "3003020107",
        ),  # a TLS feature that cryptography does not know: KeyError
        ("2.5.29.17", "3003820180"),  # a DNS name that is not ASCII
        ("2.5.29.17", "ffff"),
        ("2.5.29.19", "04"),
        ("2.5.29.15", "0500"),
        ("2.5.29.37", "30030601"),
        ("2.5.29.30", "30048002ffff"),
    ],
)
def test_an_extension_that_cannot_be_read_is_refused(oid, value):
    refusal = refused(block(CSR, extended_der(oid, bytes.fromhex(value))))
    assert type(refusal) is csr.CsrMalformed


def test_extensions_that_stand_twice_are_refused():
    names_wished = x509.SubjectAlternativeName([x509.DNSName("a.example")]).public_bytes()
    info = request_info(extended_der("2.5.29.18", names_wished, "2.5.29.17", names_wished))
    twice = info.replace(bytes.fromhex("0603551d12"), bytes.fromhex("0603551d11"))  # 2.5.29.18 made 17
    assert twice != info
    assert type(refused(block(CSR, signed_anew(twice)))) is csr.CsrMalformed


@pytest.mark.parametrize("kind", ["rsa:2048", "ec"])
def test_a_signature_with_sha1_is_refused_for_its_hash(kind, tmp_path):
    # cryptography only says that it is not valid; the device's owner must hear why.
    options = ["-pkeyopt", "ec_paramgen_curve:prime256v1"] if kind == "ec" else []
    made = run(
        *("openssl", "req", "-new", "-newkey", kind, *options, "-noenc", "-keyout", "sha1.key"),
        *("-sha1", "-subj", "/CN=door-1"),
        cwd=tmp_path,
    )
    assert made.returncode == 0, made.stderr
    refusal = refused(made.stdout)
    assert type(refusal) is csr.CsrForged
    assert "SHA-256" in refusal.detail


def test_an_rsa_pss_key_is_refused_because_its_certificate_would_not_fit_it(tmp_path):
    # The certificate would say rsaEncryption (RFC 8017 A.1) where the device's key says RSASSA-PSS,
    # and OpenSSL does not let the two be used together.
    run("openssl", "genpkey", "-algorithm", "RSA-PSS", "-out", "pss.key", cwd=tmp_path)
    made = run("openssl", "req", "-new", "-key", "pss.key", "-subj", "/CN=door-1", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert type(refused(made.stdout)) is keys.KeyRefused


# --- Files of people ------------------------------------------------------------------------------


def test_a_file_is_read_in_pem_and_in_der():
    pem = make_csr("door-1")
    der = x509.load_pem_x509_csr(pem).public_bytes(Encoding.DER)
    assert csr.verify_file(der) == csr.verify_file(pem) == csr.verify(pem)
    assert csr.verify_file(der).parsed == x509.load_pem_x509_csr(pem)
    assert csr.verify_file(b"0 is how this text begins\n" + pem).common_name == "door-1"


DER_KEYS = {
    "plain": NoEncryption(),
    "encrypted": BestAvailableEncryption(b"secret"),
}


@pytest.mark.parametrize("encryption", DER_KEYS.values(), ids=DER_KEYS)
def test_a_private_key_in_der_is_refused_as_what_it_is(encryption):
    der = private_key("P-256").private_bytes(Encoding.DER, PrivateFormat.PKCS8, encryption)
    with pytest.raises(csr.PrivateKeySent):
        csr.verify_file(der)


DER = {
    "a certificate": (block("CERTIFICATE", b""), csr.CsrWrongLabel),
    "no structure": (b"0 and nothing", csr.CsrMalformed),
    "too much": (b"0" * (csr.LARGEST_CSR + 1), csr.CsrTooLarge),
    "nothing": (b"", csr.CsrMissing),
}


@pytest.mark.parametrize(("data", "refusal"), DER.values(), ids=DER)
def test_a_file_that_holds_something_else_is_refused(data, refusal):
    with pytest.raises(refusal):
        csr.verify_file(data)


def test_a_request_that_is_made_here_is_proven_like_any_other():
    for kind in ("P-256", "P-384", "Ed25519", "RSA-2048"):
        key = private_key(kind)
        request = csr.made(key, "door-1")
        assert (request.common_name, request.sans, request.ignored) == ("door-1", (), ())
        assert request == csr.verify_der(request.der)
        assert request.key == key.public_key()
