"""What programs that are not ours say of our CRLs as such: OpenSSL, and the linter pkilint."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pki.core import bundles, crls, keys
from pki.core.crls import Entry, Heading
from tests.clients import run
from tests.core import linting
from tests.core.cast import DAY, MOMENT, SECOND, ca

ISSUER_KINDS = ["P-256", "P-384", "Ed25519", "RSA-2048", "RSA-3072", "RSA-4096"]
URL = "http://status.example:8080/crl/0a1b"
HEADING = Heading(258, MOMENT, MOMENT + DAY)
REVOKED = [
    Entry(2**126 + index, MOMENT - index * SECOND, reason)
    for index, reason in enumerate(reason for reason in x509.ReasonFlags if reason != crls.REMOVED)
]

# what it is         how it is made of an issuer's certificate
LISTS = {
    "empty full list": lambda of: crls.complete(of, HEADING, [], freshest=f"{URL}/delta.crl"),
    "full list": lambda of: crls.complete(of, HEADING, REVOKED, freshest=f"{URL}/delta.crl"),
    "empty shard": lambda of: crls.complete(of, HEADING, [], distribution_point=f"{URL}/1.crl"),
    "shard": lambda of: crls.complete(of, HEADING, REVOKED, distribution_point=f"{URL}/1.crl"),
    "empty delta": lambda of: crls.delta(of, HEADING, [], 3),
    "delta": lambda of: crls.delta(of, HEADING, [*REVOKED, Entry(5, MOMENT, crls.REMOVED)], 3),
}
every_list = pytest.mark.parametrize("make", LISTS.values(), ids=LISTS)
every_issuer = pytest.mark.parametrize("kind", ISSUER_KINDS)


def signed(make, of):
    key = of.issuing_key
    return make(of.issuing).sign(key, keys.signature_hash(key))


@every_issuer
@every_list
def test_pkilint_finds_nothing(make, kind, tmp_path):
    assert linting.in_crl(tmp_path, signed(make, ca(kind)).public_bytes(Encoding.DER)) == []


@every_issuer
def test_openssl_verifies_the_signature_and_reads_every_entry(kind, tmp_path):
    of = ca(kind)
    (tmp_path / "issuing.pem").write_bytes(bundles.pem([of.issuing]))
    (tmp_path / "it.pem").write_bytes(signed(LISTS["shard"], of).public_bytes(Encoding.PEM))
    done = run(
        *("openssl", "crl", "-in", "it.pem", "-CAfile", "issuing.pem", "-verify", "-noout", "-text"),
        cwd=tmp_path,
    )
    assert done.returncode == 0
    assert b"verify OK" in done.stderr
    text = done.stdout.decode()
    assert text.count("Serial Number:") == len(REVOKED)
    assert f"URI:{URL}/1.crl" in text
    assert "X509v3 Issuing Distribution Point: critical" in text


def test_openssl_refuses_a_list_that_was_changed(tmp_path):
    of = ca()
    der = bytearray(signed(LISTS["shard"], of).public_bytes(Encoding.DER))
    der[der.index((2**126).to_bytes(16, "big")) + 15] ^= 1  # another certificate
    (tmp_path / "issuing.pem").write_bytes(bundles.pem([of.issuing]))
    (tmp_path / "it.crl").write_bytes(der)
    done = run(
        *("openssl", "crl", "-inform", "DER", "-in", "it.crl", "-CAfile", "issuing.pem", "-verify"),
        cwd=tmp_path,
    )
    assert b"verify failure" in done.stderr
