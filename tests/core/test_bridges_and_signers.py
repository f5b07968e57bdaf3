"""Cross-certificates and signers of trust bundles by the book, and what pkilint and OpenSSL say of them."""

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from pki.core import bundles, certificates, extensions, keys, names
from pki.core.certificates import Authority
from tests.clients import run
from tests.core.cast import DAY, MOMENT, POINTERS, SECOND, ca, private_key, sign
from tests.core.test_strangers import ISSUER_KINDS, pkilint

STRICTLY = ("openssl", "verify", "-x509_strict", "-attime", str(int(MOMENT.timestamp())))


def root(name, kind, lifetime=7000 * DAY):
    key = private_key(kind)
    subject = names.subject({"CN": name})
    return sign(certificates.root(subject, key.public_key(), lifetime, MOMENT), key), key


def crossed(subject_kind, signer_kind):
    subject, _ = root("New Root CA", subject_kind)
    signer, key = root("Old Root CA", signer_kind)
    return signer, sign(certificates.cross(subject, 90 * DAY, Authority(signer, POINTERS), MOMENT), key)


def signer_of(kind):
    key = keys.generate("P-256")
    builder = certificates.bundle_signer(key.public_key(), 7 * DAY, ca(kind).root, MOMENT)
    return sign(builder, ca(kind).root_key)


@pytest.mark.parametrize("subject", ISSUER_KINDS)
@pytest.mark.parametrize("signer", ISSUER_KINDS)
def test_pkilint_finds_nothing_in_a_cross_certificate_and_openssl_takes_it(subject, signer, tmp_path):
    above, cross = crossed(subject, signer)
    assert pkilint(tmp_path, cross) == []
    (tmp_path / "ca.pem").write_bytes(bundles.pem([above]))
    (tmp_path / "it.pem").write_bytes(bundles.pem([cross]))
    at = ("-attime", str(int(MOMENT.timestamp())))
    done = run(
        "openssl",
        "verify",
        "-x509_strict",
        *at,
        "-purpose",
        "crlsign",
        "-CAfile",
        "ca.pem",
        "it.pem",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", ISSUER_KINDS)
def test_pkilint_finds_nothing_in_a_bundle_signer_and_openssl_takes_it_for_messages_alone(kind, tmp_path):
    signer = signer_of(kind)
    assert pkilint(tmp_path, signer) == []
    (tmp_path / "ca.pem").write_bytes(bundles.pem([ca(kind).root]))
    (tmp_path / "it.pem").write_bytes(bundles.pem([signer]))
    words = ("-attime", str(int(MOMENT.timestamp())), "-CAfile", "ca.pem", "it.pem")
    for purpose, taken in (
        ("smimesign", True),
        ("sslclient", False),
        ("sslserver", False),
        ("crlsign", False),
    ):
        done = run("openssl", "verify", "-x509_strict", "-purpose", purpose, *words, cwd=tmp_path)
        assert (done.returncode == 0) is taken, (purpose, done.stderr)


def test_a_cross_certificate_has_exactly_the_extensions_of_a_ca_that_somebody_signed():
    _, cross = crossed("P-256", "P-384")
    assert {each.oid: each.critical for each in cross.extensions} == {
        ExtensionOID.BASIC_CONSTRAINTS: True,
        ExtensionOID.KEY_USAGE: True,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER: False,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER: False,
        ExtensionOID.AUTHORITY_INFORMATION_ACCESS: False,
        ExtensionOID.CRL_DISTRIBUTION_POINTS: False,
    }


@pytest.mark.parametrize("shorter", ["subject", "signer", "neither"])
def test_a_cross_certificate_outlives_neither_root(shorter):
    lives = {"subject": 7000 * DAY, "signer": 7000 * DAY, shorter: 10 * DAY}
    subject, _ = root("New Root CA", "P-256", lives["subject"])
    signer, _ = root("Old Root CA", "P-384", lives["signer"])
    authority = Authority(signer, POINTERS)
    cross = sign(certificates.cross(subject, 90 * DAY, authority, MOMENT), private_key("P-384"))
    days = 90 if shorter == "neither" else 10
    assert cross.not_valid_after_utc == MOMENT + days * DAY - SECOND
    late = MOMENT + 10 * DAY
    if shorter != "neither":
        with pytest.raises(certificates.IssuerExpired):
            certificates.cross(subject, 90 * DAY, authority, late)


def test_a_bundle_signer_says_in_words_what_it_is():
    said = {each.name: each.sentences for each in extensions.in_words(signer_of("P-256"))}
    assert said["extKeyUsage"] == ("It may sign and encrypt mail (emailProtection).",)
    assert said["noRevAvail"] == ("Whether it is revoked is told nowhere: its life is short.",)
    assert value(signer_of("P-256"), x509.BasicConstraints).ca is False


def value(certificate, kind):
    return certificate.extensions.get_extension_for_class(kind).value
