"""The files that clients read, opened by a client's own program."""

import re

import pytest
from cryptography import x509

from pki.core import bundles, csr
from tests.clients import make_csr, run
from tests.core.cast import ca, issued, private_key, record

PASSWORD = "demo"
OWASP_2023_ROUNDS = 600_000  # PBKDF2 with SHA-256


@pytest.fixture(scope="module")
def p12(tmp_path_factory):
    path = tmp_path_factory.mktemp("bundles") / "client.p12"
    certificate = issued(ca(), record("door-1"))
    path.write_bytes(
        bundles.pkcs12_modern("door-1", private_key("P-256"), certificate, [ca().issuing], PASSWORD)
    )
    return path


def opened(path, password, *options):
    return run("openssl", "pkcs12", "-in", path, "-passin", f"pass:{password}", *options)


def test_openssl_opens_a_pkcs12_file_with_its_key_and_its_chain(p12):
    done = opened(p12, PASSWORD, "-noenc")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b"BEGIN PRIVATE KEY") == 1
    inside = x509.load_pem_x509_certificates(done.stdout)
    assert {certificate.subject.rfc4514_string() for certificate in inside} == {
        "CN=door-1",
        "CN=Test Issuing CA",
    }
    assert b"friendlyName: door-1" in done.stdout


def test_a_pkcs12_file_stays_shut_without_its_password(p12):
    assert opened(p12, "another", "-noenc").returncode != 0
    assert opened(p12, "", "-noenc").returncode != 0


def test_a_pkcs12_file_uses_todays_algorithms(p12):
    done = opened(p12, PASSWORD, "-info", "-noout")
    told = done.stderr.decode()
    assert "MAC: sha256" in told
    bags = re.findall(r"^(?:PKCS7 Encrypted data|Shrouded Keybag): (.*)$", told, re.MULTILINE)
    assert len(bags) == 2, "the key and the certificates"
    for bag in bags:
        scheme, kdf, cipher, iterations, prf = bag.split(", ")
        assert (scheme, kdf, cipher) == ("PBES2", "PBKDF2", "AES-256-CBC")
        assert int(iterations.removeprefix("Iteration ")) >= OWASP_2023_ROUNDS
        assert prf == "PRF hmacWithSHA256"


def test_a_legacy_pkcs12_file_is_what_old_readers_know_and_nothing_newer(tmp_path):
    path = tmp_path / "legacy.p12"
    certificate = issued(ca(), record("door-1"))
    path.write_bytes(
        bundles.pkcs12_legacy("door-1", private_key("P-256"), certificate, [ca().issuing], PASSWORD)
    )
    done = opened(path, PASSWORD, "-legacy", "-info", "-noenc")
    assert done.returncode == 0, done.stderr
    told = done.stderr.decode()
    assert "MAC: sha1" in told
    bags = re.findall(r"^(?:PKCS7 Encrypted data|Shrouded Keybag): (.*)$", told, re.MULTILINE)
    assert [bag.split(", ")[0] for bag in bags] == ["pbeWithSHA1And3-KeyTripleDES-CBC"] * 2
    assert done.stdout.count(b"BEGIN CERTIFICATE") == 2
    assert done.stdout.count(b"BEGIN PRIVATE KEY") == 1
    assert opened(path, "another", "-legacy", "-noenc").returncode != 0


@pytest.mark.parametrize("kind", ["P-256", "Ed25519", "RSA-2048"])
def test_a_pem_file_with_its_key_opens_with_its_password_alone(kind):
    certificate = issued(ca(), record("door-1"))
    pem = bundles.pem_with_key(private_key(kind), certificate, [ca().issuing], PASSWORD)
    assert pem.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    assert x509.load_pem_x509_certificates(pem) == [certificate, ca().issuing]
    assert run("openssl", "pkey", "-passin", f"pass:{PASSWORD}", "-noout", stdin=pem).returncode == 0
    assert run("openssl", "pkey", "-passin", "pass:another", "-noout", stdin=pem).returncode != 0


def test_certificates_stand_in_the_order_that_they_were_given_in():
    leaf = issued(ca(), record("door-1"))
    chain = [leaf, ca().issuing, ca().root]
    assert x509.load_pem_x509_certificates(bundles.pem(chain)) == chain
    assert bundles.pem([]) == b""


@pytest.mark.parametrize("kind", ["P-256", "P-384", "Ed25519", "RSA-2048"])
def test_openssl_reads_a_devices_own_key_file(kind):
    pem = bundles.private_key_pem(private_key(kind))
    assert pem.startswith(b"-----BEGIN PRIVATE KEY-----\n")  # PKCS#8
    assert run("openssl", "pkey", "-noout", "-check", stdin=pem).returncode == 0


def test_openssl_reads_a_request_and_finds_its_signature_good():
    request = x509.load_pem_x509_csr(make_csr("door-1"))
    pem = bundles.pem_request(request)
    assert run("openssl", "req", "-noout", "-verify", stdin=pem).returncode == 0
    assert csr.verify(pem).common_name == "door-1"
