"""Every CSR of cryptography's own test vectors: a certificate or a problem, and never a failure."""

from pathlib import Path

import cryptography_vectors
import pytest
from cryptography import x509

from tests.core.cast import block
from tests.endpoints.problems import assert_problem
from tests.services.cast import pattern_token

VECTORS = Path(cryptography_vectors.__file__).parent / "x509"
CORPUS = sorted((VECTORS / "requests").glob("*.*"))
CERTIFIED = {"ec_sha256.pem", "ec_sha256_old_header.pem", "rsa_sha256.pem"}

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def bodies(path):
    """A file as it is and, if it is DER, in PEM too."""
    content = path.read_bytes()
    yield content
    if not content.startswith(b"-----"):
        yield block("CERTIFICATE REQUEST", content)


def test_the_corpus_is_there():
    assert {path.suffix for path in CORPUS} == {".pem", ".der"}
    assert {path.name for path in CORPUS} >= CERTIFIED


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_it_is_certified_or_refused(provisioning, now, path):
    for body in bodies(path):
        response = provisioning.post("/sign-csr", body, token=pattern_token("*", now))
        assert response.status_code < 500
        if response.status_code == 200:
            wished = x509.load_pem_x509_csr(body)
            assert x509.load_pem_x509_certificate(response.content).public_key() == wished.public_key()
        else:
            assert_problem(response, response.status_code, response.json()["code"])


@pytest.mark.parametrize("name", sorted(CERTIFIED))
def test_the_good_ones_among_them_are_certified(provisioning, now, name):
    """With the name that they ask for, and nothing else of their subject."""
    body = (VECTORS / "requests" / name).read_bytes()
    response = provisioning.post("/sign-csr", body, token=pattern_token("*", now))
    assert response.status_code == 200
    certificate = x509.load_pem_x509_certificate(response.content)
    assert certificate.subject.rfc4514_string() == "CN=cryptography.io"


@pytest.mark.parametrize("name", ["cryptography.io.pem", "rapidssl_sha256_ca_g3.pem", "v1_cert.pem"])
def test_a_certificate_is_no_request(provisioning, now, name):
    response = provisioning.post("/sign-csr", (VECTORS / name).read_bytes(), token=pattern_token("*", now))
    assert_problem(response, 400, "csr_wrong_label")
