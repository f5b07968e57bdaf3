"""`manage.py issue`: a CSR from a file or from standard input, a certificate on standard output."""

import io
import sys
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from pki.keystore import keystore
from pki.models import Certificate, Device, Issuer
from tests.clients import make_csr
from tests.services.cast import Gadget, change_state, everything, registered
from tests.shell.words import fails, prints, warns

pytestmark = pytest.mark.usefixtures("ca")


@pytest.fixture
def door(ca, now):
    return registered("door-1", now)


@pytest.fixture
def file(tmp_path):
    """Write a CSR where the command finds it."""

    def write(pem: bytes) -> str:
        path = tmp_path / "my.csr"
        path.write_bytes(pem)
        return str(path)

    return write


def test_it_prints_the_certificate_and_its_chain_and_nothing_else(door, file):
    gadget = Gadget("door-1")
    printed = prints("issue", "--device", "door-1", "--csr", file(gadget.csr))
    leaf, issuing = x509.load_pem_x509_certificates(printed.encode())
    assert leaf.public_key() == gadget.key.public_key()
    assert issuing == Issuer.objects.get(parent__isnull=False).certificate
    assert Certificate.objects.get(device=door).parsed == leaf
    assert printed.startswith("-----BEGIN CERTIFICATE-----\n")
    assert printed.endswith("-----END CERTIFICATE-----\n")


def test_a_csr_in_der_is_taken_too(door, file):
    gadget = Gadget("door-1")
    der = x509.load_pem_x509_csr(gadget.csr).public_bytes(Encoding.DER)
    printed = prints("issue", "--device", "door-1", "--csr", file(der))
    assert x509.load_pem_x509_certificates(printed.encode())[0].public_key() == gadget.key.public_key()


def test_a_hyphen_means_standard_input(door, monkeypatch):
    gadget = Gadget("door-1")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(gadget.csr)))
    printed = prints("issue", "--device", "door-1", "--csr", "-")
    assert x509.load_pem_x509_certificates(printed.encode())[0].public_key() == gadget.key.public_key()


def test_wishes_that_were_not_granted_are_said_beside_the_output(door, file):
    csr = make_csr("door-1", sans=[x509.DNSName("door.example")])
    assert "SAN DNS:door.example" in warns("issue", "--device", "door-1", "--csr", file(csr))


WRONG = {
    "another device's name": (lambda: make_csr("door-2"), "CN"),
    "no PEM": (lambda: b"hello", "PEM"),
    "nothing": (lambda: b"", "empty"),
    "a private key": (
        lambda: b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "private key",
    ),
    "half a CSR": (lambda: make_csr("door-1")[:150], "cut short"),
    "more than a CSR": (lambda: make_csr("door-1") * 300, "at most"),
    "a key that is not certified": (
        lambda: make_csr("door-1", key=ec.generate_private_key(ec.SECP256K1())),
        "secp256k1",
    ),
}


@pytest.mark.parametrize(("pem", "named"), WRONG.values(), ids=WRONG)
def test_a_bad_csr_is_refused_in_one_sentence_and_nothing_is_signed(door, file, pem, named):
    before = everything()
    assert named in fails("issue", "--device", "door-1", "--csr", file(pem()))
    assert everything() == before


def test_a_device_that_is_not_on_record_is_refused(file):
    assert "door-9" in fails("issue", "--device", "door-9", "--csr", file(make_csr("door-9")))
    assert not Device.objects.exists()


def test_a_device_that_is_not_active_is_refused(door, file, now):
    change_state(door, Device.State.SUSPENDED, now)
    assert "suspended" in fails("issue", "--device", "door-1", "--csr", file(make_csr("door-1")))


@pytest.mark.parametrize("path", ["no-such-file.csr", "."], ids=["missing", "a folder"])
def test_a_file_that_can_not_be_read_is_named(door, path):
    assert path in fails("issue", "--device", "door-1", "--csr", path)


def test_a_key_file_that_is_gone_is_said(ca, door, file):
    for path in (ca / "keys").iterdir():
        path.unlink()
    keystore.cache_clear()
    said = fails("issue", "--device", "door-1", "--csr", file(make_csr("door-1")))
    assert "restore it from a backup, or copy keys/ from the first node" in said


@pytest.mark.parametrize("words", [[], ["--device", "door-1"], ["--csr", "-"]])
def test_both_options_are_needed(words):
    assert "required" in fails("issue", *words)
