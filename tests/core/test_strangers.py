"""What programs that are not ours say of our certificates: OpenSSL, and the linter pkilint."""

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from pki.core import bundles
from pki.core.profiles import ExtendedKeyUsage
from tests.clients import run
from tests.core import linting
from tests.core.cast import MOMENT, ca, issued, record

ISSUER_KINDS = ["P-256", "P-384", "Ed25519", "RSA-2048"]
DEVICE_KINDS = ["P-384", "Ed25519", "RSA-2048"]

CLIENT, SERVER = ExtendedKeyUsage.CLIENT_AUTH, ExtendedKeyUsage.SERVER_AUTH
FULL = record(
    "door-1.hall",
    "DNS:door-1.hall.example",
    "IP:10.0.0.7",
    "IP:2001:db8::7",
    "email:door-1@hall.example",
    "URI:https://hall.example/doors/1",
    C="DE",
    ST="Schleswig-Holstein",
    L="Kiel",
    O="Zoë & Söhne 🚪",
    OU="Hall",
)
WEB = record("web", "DNS:web.hall.example", "IP:10.0.0.1", "IP:::1")

# what it is        how it is made from a CA                      what OpenSSL may take it for, and what not
CERTIFICATES = {
    "root": (lambda of: of.root, "crlsign", "sslclient"),
    "issuing CA": (lambda of: of.issuing, "crlsign", "sslserver"),
    "device": (lambda of: issued(of, record("door-1")), "sslclient", "sslserver"),
    "server": (lambda of: issued(of, WEB, SERVER), "sslserver", "sslclient"),
}


def openssl_verify(folder, of, certificate, purpose):
    (folder / "root.pem").write_bytes(bundles.pem([of.root]))
    (folder / "issuing.pem").write_bytes(bundles.pem([of.issuing]))
    (folder / "it.pem").write_bytes(bundles.pem([certificate]))
    return run(
        *("openssl", "verify", "-x509_strict", "-purpose", purpose),
        *("-attime", str(int(MOMENT.timestamp()))),
        *("-CAfile", "root.pem", "-untrusted", "issuing.pem", "it.pem"),
        cwd=folder,
    )


def pkilint(folder, certificate, severity="WARNING"):
    return linting.in_certificate(folder, certificate.public_bytes(Encoding.DER), severity)


@pytest.mark.parametrize("issuer", ISSUER_KINDS)
@pytest.mark.parametrize(("make", "good_for", "not_for"), CERTIFICATES.values(), ids=CERTIFICATES)
def test_openssl_takes_it_for_its_purpose_and_for_no_other(make, good_for, not_for, issuer, tmp_path):
    of = ca(issuer)
    certificate = make(of)
    done = openssl_verify(tmp_path, of, certificate, good_for)
    assert (done.returncode, done.stdout) == (0, b"it.pem: OK\n"), done.stderr
    assert b"purpose" in openssl_verify(tmp_path, of, certificate, not_for).stderr


@pytest.mark.parametrize("issuer", ISSUER_KINDS)
@pytest.mark.parametrize("make", [row[0] for row in CERTIFICATES.values()], ids=CERTIFICATES)
def test_pkilint_finds_nothing(make, issuer, tmp_path):
    assert pkilint(tmp_path, make(ca(issuer))) == []


@pytest.mark.parametrize("key_kind", DEVICE_KINDS)
def test_a_device_with_a_key_of_any_kind_passes_both(key_kind, tmp_path):
    certificate = issued(ca(), record("door-1"), key_kind=key_kind)
    assert openssl_verify(tmp_path, ca(), certificate, "sslclient").returncode == 0
    assert pkilint(tmp_path, certificate) == []


@pytest.mark.parametrize(
    "whose",
    [
        FULL,
        record("x" * 64, O="é" * 64, OU=" ", L="ل" * 128),
        record("00:1b:44:11:3a:b7", "DNS:xn--tr-xka.example"),
    ],
    ids=["full", "long", "odd"],
)
def test_a_device_with_much_on_record_passes_both(whose, tmp_path):
    certificate = issued(ca(), whose)
    assert openssl_verify(tmp_path, ca(), certificate, "sslclient").returncode == 0
    assert pkilint(tmp_path, certificate) == []


@pytest.mark.parametrize("name", ["localhost", "door", "*.hall.example", "_door.hall.example"])
def test_of_a_dns_name_that_no_public_ca_would_sign_pkilint_finds_its_syntax_and_nothing_else(name, tmp_path):
    """It wants two labels (RFC 1034 3.5 allows one), and RFC 5280 knows no wildcards; TLS clients do."""
    certificate = issued(ca(), record("web", f"DNS:{name}"), SERVER)
    assert openssl_verify(tmp_path, ca(), certificate, "sslserver").returncode == 0
    assert [code for code, _ in pkilint(tmp_path, certificate)] == ["pkix.invalid_domain_name_syntax"]
