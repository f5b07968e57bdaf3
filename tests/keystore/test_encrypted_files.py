"""The keystore in a folder: keys that only their passphrase opens, and errors that say what to do."""

import base64
import re
import stat
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from OpenSSL import SSL

from pki.core import certificates, keys, names
from pki.core.keys import KeyRefused
from pki.keystore import KeystoreError
from pki.keystore.encrypted_files import EncryptedFiles
from tests.clients import run
from tests.core.cast import MOMENT, private_key

PASSPHRASE = "a passphrase of the tests"
KINDS = ["P-256", "P-384", "Ed25519", "RSA-2048"]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "keys"


@pytest.fixture
def store(folder):
    return EncryptedFiles(folder, PASSPHRASE)


@pytest.fixture
def reference(store):
    return store.create("issuer", "P-256")


def reopened(folder, passphrase=PASSPHRASE):
    """The same folder, as the next process finds it."""
    return EncryptedFiles(folder, passphrase)


def only_file(folder):
    (path,) = folder.iterdir()
    return path


def root_of(store, reference):
    return certificates.root(
        names.subject({"CN": "Root"}), store.public_key(reference), timedelta(days=1), MOMENT
    )


# --- What is on the disk --------------------------------------------------------------------------


def test_a_key_file_and_its_folder_are_their_owners_alone(folder, reference):
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(only_file(folder).stat().st_mode) == 0o600


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_file_opens_with_the_passphrase_and_not_without(store, folder, kind):
    reference = store.create("issuer", kind)
    path = only_file(folder)
    assert path.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    with_it = run("openssl", "pkey", "-in", path, "-passin", f"pass:{PASSPHRASE}", "-pubout")
    assert with_it.returncode == 0, with_it.stderr
    opened = load_pem_private_key(path.read_bytes(), PASSPHRASE.encode())
    assert opened.public_key() == store.public_key(reference)
    for other in ("pass:", "pass:another passphrase"):
        without = run("openssl", "pkey", "-in", path, "-passin", other, "-pubout")
        assert without.returncode != 0
        assert b"BEGIN" not in without.stdout


def test_a_key_file_is_encrypted_with_aes_256(folder, reference):
    shown = run("openssl", "asn1parse", "-in", only_file(folder)).stdout.decode()
    assert re.findall(r"OBJECT +:(\S+)", shown) == ["PBES2", "PBKDF2", "hmacWithSHA256", "aes-256-cbc"]


@pytest.mark.parametrize("label", ["issuer", "Hatchery Root CA", "../../etc/passwd", "", "Zoë/\0"])
def test_a_key_stays_in_the_folder_whatever_it_is_called(store, folder, label):
    reference = store.create(label, "Ed25519")
    assert only_file(folder).parent == folder
    assert re.fullmatch(r"file:[a-z0-9-]+", reference)
    assert store.has(reference)


def test_a_key_of_a_kind_that_is_not_certified_is_not_made(store, folder):
    with pytest.raises(KeyRefused):
        store.create("issuer", "P-521")
    assert not folder.exists()


# --- What it does with keys -----------------------------------------------------------------------


def test_two_keys_of_one_label_are_two(store):
    one, other = store.create("issuer", "P-256"), store.create("issuer", "P-256")
    assert one != other
    assert store.public_key(one) != store.public_key(other)


def test_a_key_is_there_for_the_next_process(store, folder, reference):
    assert reopened(folder).has(reference)
    assert reopened(folder).public_key(reference) == store.public_key(reference)


def test_a_key_that_is_discarded_is_gone_and_the_others_are_not(store, folder, reference):
    other = store.create("issuer", "P-256")
    store.public_key(reference)
    store.discard(reference)
    store.discard(reference)
    assert not store.has(reference)
    with pytest.raises(KeystoreError):
        store.public_key(reference)
    assert reopened(folder).has(other)
    with pytest.raises(KeystoreError):
        store.discard("file:../elsewhere")


def test_a_key_that_was_never_made_is_not_there(store, reference):
    assert not store.has("file:issuer-000000000000")


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [
        ("P-256", "ecdsa-with-SHA256"),
        ("P-384", "ecdsa-with-SHA384"),
        ("Ed25519", "ED25519"),
        ("RSA-2048", "sha256WithRSAEncryption"),
    ],
)
def test_it_signs_with_the_hash_that_belongs_to_the_key(store, folder, kind, algorithm):
    reference = store.create("issuer", kind)
    signed = reopened(folder).sign(reference, root_of(store, reference))
    signed.verify_directly_issued_by(signed)
    shown = run("openssl", "x509", "-noout", "-text", stdin=signed.public_bytes(Encoding.PEM)).stdout
    assert f"Signature Algorithm: {algorithm}\n" in shown.decode()


@pytest.mark.parametrize("kind", KINDS)
def test_a_listeners_key_fits_its_certificate_in_a_tls_context(store, kind):
    reference = store.create("listener", kind)
    context = SSL.Context(SSL.TLS_METHOD)
    signed = store.sign(reference, root_of(store, reference))
    context.use_certificate(signed)
    store.install(reference, context)
    context.check_privatekey()


def test_another_key_does_not_fit(store, reference):
    context = SSL.Context(SSL.TLS_METHOD)
    signed = store.sign(reference, root_of(store, reference))
    context.use_certificate(signed)
    with pytest.raises(SSL.Error):
        store.install(store.create("other", "P-256"), context)


# --- What goes wrong ------------------------------------------------------------------------------


def encrypted(key, passphrase=PASSPHRASE):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase.encode()))


def damaged(pem, *, byte=None):
    """A PEM file with one byte of its content changed."""
    lines = pem.splitlines()
    der = bytearray(base64.b64decode(b"".join(lines[1:-1])))
    der[byte] ^= 1
    return b"\n".join([lines[0], base64.b64encode(der), lines[-1], b""])


DAMAGE = {
    "empty": lambda pem: b"",
    "not PEM": lambda pem: b"not a key\n",
    "cut in the middle": lambda pem: pem[: len(pem) // 2],
    "cut at the end": lambda pem: pem[:-30],
    "its outermost byte": lambda pem: damaged(pem, byte=0),
    "its encryption": lambda pem: damaged(pem, byte=10),
    "its last byte": lambda pem: damaged(pem, byte=-1),
    "bytes that are no text": lambda pem: bytes(range(256)),
    "a certificate's label": lambda pem: pem.replace(b"ENCRYPTED PRIVATE KEY", b"CERTIFICATE"),
    "another passphrase": lambda pem: encrypted(private_key("P-256"), "another passphrase"),
    "no passphrase": lambda pem: private_key("P-256").private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    ),
    "a kind that signs nothing": lambda pem: encrypted(private_key("X25519")),
    "a kind that we do not sign with": lambda pem: encrypted(private_key("Ed448")),
}


def uses(store, reference):
    """Each way to use a key."""
    return {
        "public_key": lambda: store.public_key(reference),
        "sign": lambda: store.sign(reference, None),
        "install": lambda: store.install(reference, SSL.Context(SSL.TLS_METHOD)),
    }


def says_what_is_wrong_and_no_secret(error, path):
    text = f"{error} {error!r} {error.__cause__!r}"
    assert str(path) in str(error)
    assert PASSPHRASE not in text
    assert "-----BEGIN" not in text


@pytest.mark.parametrize("use", ["public_key", "sign", "install"])
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_key_file_is_an_error_that_names_it(folder, reference, damage, use):
    path = only_file(folder)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(KeystoreError) as caught:
        uses(reopened(folder), reference)[use]()
    says_what_is_wrong_and_no_secret(caught.value, path)


def test_a_key_file_cut_off_anywhere_or_of_zeros_is_an_error_that_names_it_and_is_left_as_it_is(
    folder, reference
):
    path = only_file(folder)
    whole = path.read_bytes()
    for half in (*(whole[:length] for length in range(0, len(whole) - 30, 13)), bytes(len(whole))):
        path.write_bytes(half)
        with pytest.raises(KeystoreError, match="restore the file from a backup") as caught:
            reopened(folder).public_key(reference)
        says_what_is_wrong_and_no_secret(caught.value, path)
        assert path.read_bytes() == half
    path.write_bytes(whole)
    reopened(folder).public_key(reference)


def test_a_key_file_damaged_anywhere_is_an_error_that_names_it(folder, reference):
    # Some of the bytes then decrypt to a key of a kind that nobody knows.
    path = only_file(folder)
    whole = path.read_bytes()
    for byte in range(len(base64.b64decode(b"".join(whole.splitlines()[1:-1])))):
        path.write_bytes(damaged(whole, byte=byte))
        with pytest.raises(KeystoreError) as caught:
            reopened(folder).public_key(reference)
        says_what_is_wrong_and_no_secret(caught.value, path)


@pytest.mark.parametrize("use", ["public_key", "sign", "install"])
def test_a_wrong_passphrase_is_an_error_that_names_the_file_and_the_setting(folder, reference, use):
    with pytest.raises(KeystoreError, match="PORTAL_KEY_PASSPHRASE") as caught:
        uses(reopened(folder, "a wrong passphrase"), reference)[use]()
    says_what_is_wrong_and_no_secret(caught.value, only_file(folder))
    assert "a wrong passphrase" not in str(caught.value)


@pytest.mark.parametrize("use", ["public_key", "sign", "install"])
def test_a_missing_key_file_is_an_error_that_names_it(folder, reference, use):
    path = only_file(folder)
    path.unlink()
    with pytest.raises(KeystoreError, match="cannot be read") as caught:
        uses(reopened(folder), reference)[use]()
    says_what_is_wrong_and_no_secret(caught.value, path)


@pytest.mark.parametrize(
    "foreign",
    [
        "",
        "file:",
        "file:../../etc/passwd",
        "file:a/b",
        "file:.",
        "file:a.pem",
        "file:A",
        "file:a\n",
        "file:a\0",
        "/etc/passwd",
        "pkcs11:token=ca",
        "file:file:a",
    ],
)
def test_a_foreign_reference_is_refused_and_nothing_is_opened(store, reference, foreign, monkeypatch):
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda path: pytest.fail(f"{path} was read"))
    for use in (*uses(store, foreign).values(), lambda: store.has(foreign)):
        with pytest.raises(KeystoreError) as caught:
            use()
        assert repr(foreign) in str(caught.value)


def test_a_key_is_decrypted_once_and_then_kept(folder, reference):
    store = reopened(folder)
    key = store.public_key(reference)
    only_file(folder).unlink()
    assert store.public_key(reference) == key


def test_a_key_that_could_not_be_opened_is_tried_again(folder, reference):
    path, store = only_file(folder), reopened(folder)
    whole = path.read_bytes()
    path.write_bytes(b"")
    with pytest.raises(KeystoreError):
        store.public_key(reference)
    path.write_bytes(whole)
    assert isinstance(store.public_key(reference), ec.EllipticCurvePublicKey)


def test_a_crash_while_a_key_is_made_leaves_no_key(store, folder, monkeypatch):
    monkeypatch.setattr("os.fsync", crash)
    with pytest.raises(SystemExit):
        store.create("issuer", "P-256")
    assert list(folder.iterdir()) == []


def crash(descriptor):
    raise SystemExit(9)


def test_all_certified_kinds_can_be_made(store):
    made = {keys.certified(store.public_key(store.create("issuer", kind)))[0] for kind in KINDS}
    assert made == set(keys.KeyKind)
