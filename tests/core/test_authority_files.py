"""A CA's key opens in every form that OpenSSL has written over the years, by its passphrase alone."""

import subprocess

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pki.core import authority_files, der, key_files
from pki.core.key_files import KeyFileRefused, PassphraseNeeded, WrongPassphrase
from tests.clients import needs
from tests.core.cast import ca

SECRET = "a passphrase"
OUT = f"-passout pass:'{SECRET}'"
KEYS = {
    "3DES, as openssl genrsa -des3 wrote it": f"rsa -in key.pem -traditional -des3 {OUT}",
    "AES-256 in the old form": f"rsa -in key.pem -traditional -aes256 {OUT}",
    "PKCS#8 with AES-256": f"pkcs8 -topk8 -in key.pem -v2 aes-256-cbc {OUT}",
    "PKCS#8 with 3DES of PKCS#12": f"pkcs8 -topk8 -in key.pem -v1 PBE-SHA1-3DES {OUT}",
    "PKCS#8 with scrypt": f"pkcs8 -topk8 -in key.pem -scrypt {OUT}",
    "PKCS#8 in DER": f"pkcs8 -topk8 -in key.pem -outform DER {OUT}",
}
P12S = {
    "of today": f"pkcs12 -export -in ca.pem -inkey key.pem {OUT}",
    "of yesterday": f"pkcs12 -export -legacy -in ca.pem -inkey key.pem {OUT}",
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """What an openssl command writes of the CA."""
    openssl = needs("openssl", package="openssl")
    folder, old = tmp_path_factory.mktemp("forms"), ca("RSA-2048")
    plain = old.root_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(plain)
    (folder / "ca.pem").write_bytes(old.root.public_bytes(Encoding.PEM))

    def write(command: str) -> bytes:
        line = f"{openssl} {command} -out written"
        subprocess.run(["sh", "-ec", line], cwd=folder, check=True, capture_output=True)
        return (folder / "written").read_bytes()

    return write


@pytest.mark.parametrize("command", KEYS.values(), ids=KEYS)
def test_a_key_opens_with_its_passphrase_alone(written, command):
    key, certificate = written(command), ca("RSA-2048").root.public_bytes(Encoding.PEM)
    brought = authority_files.from_files(certificate, key, SECRET)
    assert brought.key.public_key() == ca("RSA-2048").root.public_key()
    assert SECRET not in repr(brought)
    with pytest.raises(WrongPassphrase):
        authority_files.from_files(certificate, key, "another one")
    with pytest.raises(PassphraseNeeded):
        authority_files.from_files(certificate, key)


@pytest.mark.parametrize("command", P12S.values(), ids=P12S)
def test_a_p12_opens_with_its_passphrase_alone(written, command):
    data = written(command)
    assert authority_files.from_p12(data, SECRET).certificate == ca("RSA-2048").root
    with pytest.raises(WrongPassphrase):
        authority_files.from_p12(data, "another one")
    with pytest.raises(PassphraseNeeded):
        authority_files.from_p12(data)


def test_certificate_and_key_may_stand_in_one_file(written):
    pem = ca("RSA-2048").root.public_bytes(Encoding.PEM) + written(KEYS["PKCS#8 with AES-256"])
    assert authority_files.from_files(pem, pem, SECRET).certificate == ca("RSA-2048").root


def test_a_key_whose_passphrase_is_hashed_without_end_is_not_opened(written):
    key = written(f"pkcs8 -topk8 -in key.pem -v2 aes-256-cbc -iter 20000 {OUT}")
    for limit, refused in ((20_000, False), (19_999, True)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(der, "MOST_ROUNDS", limit)
            if refused:
                with pytest.raises(KeyFileRefused, match="hashed more than"):
                    key_files.read(key, SECRET)
            else:
                assert key_files.read(key, SECRET)


def test_a_key_behind_a_damaged_one_is_not_hashed_without_end_either(written):
    key = written(f"pkcs8 -topk8 -in key.pem -v2 aes-256-cbc -iter 20000 {OUT}")
    damaged = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n!\n-----END PUBLIC KEY-----\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(der, "MOST_ROUNDS", 19_999)
        with pytest.raises(KeyFileRefused, match="hashed more than"):
            key_files.read(damaged + key, SECRET)


def test_a_file_of_beginnings_is_refused_and_not_brooded_over():
    """It took minutes, and nobody else was answered meanwhile."""
    begun = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
    data = begun * (key_files.LARGEST // len(begun))
    with pytest.raises(KeyFileRefused):
        key_files.read(data, SECRET)
