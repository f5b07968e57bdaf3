"""`manage.py export`: files for clients, of what is public, and of a key that its owner brings along."""

import io
import os
import plistlib
import stat
import sys
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)

from pki.admin.parts import sentences
from pki.core import bundles, csr, file_passwords
from pki.core.pins import as_base64, spki_pin
from pki.keystore import folder, keystore
from pki.management import passwords
from pki.models import AuditEvent, Issuer, Revocation
from pki.services.exporting.files import Form, Of
from pki.services.issuing import authorities, issuance
from pki.services.revoking import revocation
from pki.services.trusting import bundle, standby_keys
from tests.clients import run
from tests.services.bundles_cast import the_issuing, the_root
from tests.services.cast import SECOND, TESTER, Gadget, everything, registered
from tests.services.renewing_cast import Fielded
from tests.shell.words import fails, prints, warns

pytestmark = pytest.mark.usefixtures("ca")
PASSWORD = "correct horse battery"
PASSPHRASE = "of the key file"
WITH_A_KEY = ["pkcs12", "pkcs12-legacy", "keystore", "pem", "mobileconfig", "kubernetes"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(bundles, "PKCS12_ROUNDS", 1000)
    monkeypatch.setattr(bundles, "LEGACY_ROUNDS", 1000)


@pytest.fixture
def door(ca, now):
    return Fielded.enrolled("door-1", now)


@pytest.fixture
def key(door, tmp_path):
    """Its key, as it lies beside its certificate."""
    path = tmp_path / "door.key"
    path.write_bytes(door.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return str(path)


@pytest.fixture
def password(tmp_path):
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}\n")
    return str(path)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "made"


def leaf(door):
    return door.certificate.parsed


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


# --- What is public -------------------------------------------------------------------------------


def test_a_devices_certificate_is_printed(door):
    issuing, root = the_issuing().certificate, the_root().certificate
    for form, expected in (
        ("pem", [leaf(door)]),
        ("chain", [leaf(door), issuing]),
        ("fullchain", [leaf(door), issuing, root]),
        ("roots", [root]),
    ):
        for which in (("--device", "door-1"), ("--serial", door.certificate.serial)):
            printed = prints("export", *which, "--form", form)
            assert x509.load_pem_x509_certificates(printed.encode()) == expected


def test_an_issuer_is_exported_with_its_root_to_trust(out):
    name = the_issuing().name
    printed = prints("export", "--issuer", name, "--form", "fullchain").encode()
    assert x509.load_pem_x509_certificates(printed) == [the_issuing().certificate, the_root().certificate]
    prints("export", "--issuer", name, "--form", "truststore", "--out", str(out))
    assert [each.certificate for each in pkcs12.load_pkcs12(out.read_bytes(), None).additional_certs] == [
        the_root().certificate
    ]


def test_each_form_of_the_roots_is_written_to_a_file_that_others_may_read(tmp_path):
    for form in Form:
        file = tmp_path / f"roots.{form}"
        if form.kind.of is Of.CERTIFICATE:
            assert "one certificate" in fails("export", "--roots", "--form", form, "--out", str(file))
            assert not file.exists()
        else:
            assert str(file) in prints("export", "--roots", "--form", form, "--out", str(file))
            assert file.read_bytes()
            assert mode(file) == 0o644


def test_pins_are_those_in_use_and_those_to_come(now):
    bundle.publish_due(now)
    (root,) = standby_keys.promised(now).filter(purpose="root")
    printed = prints(
        "export", "--roots", "--form", "pins-okhttp", "--host", "a.example", "--host", "b.example"
    )
    pins = [line.split('"')[3] for line in printed.splitlines() if ".add(" in line]
    expected = [
        f"sha256/{spki_pin(the_root().certificate.public_key())}",
        f"sha256/{as_base64(root.spki_sha256)}",
    ]
    assert pins == expected * 2
    curl = prints("export", "--roots", "--form", "pins-curl").strip().split(";")
    backups = [
        f"sha256//{as_base64(each.spki_sha256)}" for each in standby_keys.promised(now).exclude(pk=root.pk)
    ]
    assert set(backups) < set(curl)
    assert curl[-len(backups) :] == backups
    assert not set(curl) & {each.replace("/", "//", 1) for each in expected}


def test_a_certificate_that_is_refused_is_exported_with_a_word_on_it(door, now):
    revocation.revoke([door.certificate], Revocation.Reason.KEY_COMPROMISE, TESTER, now)
    assert "revoked" in warns("export", "--serial", door.certificate.serial, "--form", "pem")
    assert "no certificate that stands" in fails("export", "--device", "door-1", "--form", "pem")


def test_nobody_is_told_to_trust_a_root_that_is_compromised(now, out):
    root = the_root()
    authorities.change_state(root, Issuer.State.COMPROMISED, TESTER, now + SECOND)
    for form in (each for each in Form if each.kind.of is Of.TRUST):
        for which in (("--issuer", root.name), ("--roots",)):
            fails("export", *which, "--form", form, "--out", str(out))
            assert not out.exists()
    assert prints("export", "--issuer", root.name, "--form", "pem"), "its certificate is what it is"


def test_nothing_is_overwritten_and_nothing_changes(door, out):
    out.write_text("mine")
    before = everything()
    assert str(out) in fails("export", "--roots", "--form", "roots", "--out", str(out))
    assert out.read_text() == "mine"
    out.unlink()
    out.symlink_to("nowhere")
    assert "already" in fails("export", "--roots", "--form", "roots", "--out", str(out))
    assert everything() == before


WRONG = {
    "no form": (["--roots", "--form", "jks"], "jks"),
    "nobody": (["--form", "pem"], "required"),
    "two": (["--roots", "--issuer", "x", "--form", "pem"], "not allowed"),
    "an unknown device": (["--device", "door-9", "--form", "pem"], "door-9"),
    "a device without a certificate": (["--device", "bare", "--form", "pem"], "no certificate"),
    "an unknown issuer": (["--issuer", "Nobody CA", "--form", "pem"], "Nobody CA"),
    "an unknown serial": (["--serial", "abcdef", "--form", "pem"], "abcdef"),
    "bytes for a terminal": (["--roots", "--form", "truststore"], "--out"),
    "a folder that there is not": (
        ["--roots", "--form", "roots", "--out", "/nowhere/at/all"],
        "No such file",
    ),
    "an empty name": (["--roots", "--form", "truststore", "--out", ""], "no file"),
    "a host that is none": (["--roots", "--form", "pins-okhttp", "--host", 'x")'], "malformed"),
    "a name for Kubernetes": (["--roots", "--form", "kubernetes", "--secret-name", "Door"], "lower-case"),
    "a key form without a key": (["--device", "door-1", "--form", "pkcs12"], "--key FILE"),
    "a password for nothing": (["--roots", "--form", "roots", "--generate-password"], "--key"),
}


@pytest.mark.parametrize(("words", "named"), WRONG.values(), ids=WRONG)
def test_what_makes_no_sense_is_refused_in_one_sentence(door, now, words, named, tmp_path, monkeypatch):
    registered("bare", now)
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    assert named in fails("export", *words)
    assert set(tmp_path.iterdir()) == before


# --- With the owner's key -------------------------------------------------------------------------


def export(form, key, out, *more):
    return prints("export", "--device", "door-1", "--form", form, "--key", key, "--out", str(out), *more)


@pytest.mark.parametrize("form", ["pkcs12", "pkcs12-legacy", "keystore"])
@pytest.mark.parametrize(("above", "number"), [("none", 0), ("chain", 1), ("root", 2)])
def test_a_pkcs12_file_has_the_key_and_the_cas_that_are_asked_for(
    door, key, out, password, form, above, number
):
    export(form, key, out, "--password-file", password, "--ca", above)
    opened = pkcs12.load_pkcs12(out.read_bytes(), PASSWORD.encode())
    assert opened.key.private_numbers() == door.key.private_numbers()
    assert opened.cert.certificate == leaf(door)
    above = [the_issuing().certificate, the_root().certificate][:number]
    assert [each.certificate for each in opened.additional_certs] == above
    assert mode(out) == 0o600


def test_a_pem_file_has_its_key_locked_unless_it_is_to_be_open(door, key, out, password):
    export("pem", key, out, "--password-file", password)
    assert load_pem_private_key(out.read_bytes(), PASSWORD.encode()).public_key() == leaf(door).public_key()
    assert b"ENCRYPTED PRIVATE KEY" in out.read_bytes()
    out.unlink()
    export("pem", key, out, "--no-password", "--ca", "root")
    assert load_pem_private_key(out.read_bytes(), None).public_key() == leaf(door).public_key()
    assert len(x509.load_pem_x509_certificates(out.read_bytes())) == 3
    assert mode(out) == 0o600


def test_who_can_pass_for_the_owner_is_said_as_it_is(door, key, tmp_path, password):
    locked = ["--password-file", password]
    for form, words, whoever in (
        ("pem", ["--no-password"], "has it"),
        ("kubernetes", [], "has it"),
        ("pem", locked, "has it and its password"),
        ("pkcs12", locked, "has it and its password"),
        ("mobileconfig", locked, "has it and its password"),
    ):
        out = tmp_path / f"{form}-{len(words)}"
        said = export(form, key, out, *words)
        assert said == f"Wrote {out}; whoever {whoever} can pass for its owner.\n"
    assert "whoever" not in prints("export", "--roots", "--form", "roots", "--out", str(tmp_path / "roots"))


def test_a_kubernetes_secret_can_go_straight_to_who_applies_it(door, key):
    printed = prints("export", "--device", "door-1", "--form", "kubernetes", "--key", key, "--out", "-")
    assert "tls.key" in printed
    assert 'name: "door-1"' in printed


def test_an_apple_identity_is_signed_and_its_pkcs12_opens_with_the_password(
    door, key, out, password, tmp_path
):
    export("mobileconfig", key, out, "--password-file", password)
    (tmp_path / "ca.pem").write_bytes(bundles.pem([the_root().certificate]))
    done = run(
        *("openssl", "cms", "-verify", "-inform", "DER", "-in", out, "-purpose", "sslserver"),
        *("-CAfile", "ca.pem", "-no-CApath", "-no-CAstore"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    root, identity = plistlib.loads(done.stdout)["PayloadContent"]
    assert x509.load_der_x509_certificate(root["PayloadContent"]) == the_root().certificate
    opened = pkcs12.load_pkcs12(identity["PayloadContent"], PASSWORD.encode())
    assert opened.key.private_numbers() == door.key.private_numbers()


def test_a_password_that_is_made_is_shown_once_and_kept_nowhere(door, key, out, caplog):
    caplog.set_level("DEBUG")
    printed = export("pkcs12", key, out, "--generate-password")
    (password,) = [line.split(": ")[1] for line in printed.splitlines() if "Its password" in line]
    assert file_passwords.check(password)
    assert pkcs12.load_pkcs12(out.read_bytes(), password.encode()).key is not None
    assert password not in str(everything()) + caplog.text


def test_that_a_key_was_here_is_on_record_and_the_key_is_not(ca, door, key, out, password, caplog):
    caplog.set_level("DEBUG")
    export("pkcs12", key, out, "--password-file", password)
    event = AuditEvent.objects.get(kind="certificate.exported")
    assert (event.device, event.certificate, event.detail) == (
        door.device,
        door.certificate,
        {"container": "pkcs12"},
    )
    assert sentences.told(event) == "Written into a file with its owner's key, as pkcs12"
    scalar = f"{door.key.private_numbers().private_value:x}"
    kept = str(everything()) + caplog.text
    assert scalar not in kept
    assert PASSWORD not in kept
    assert keystore().copies().keys() == {each.name for each in folder().glob("*.pem")}


def test_what_could_not_be_written_is_not_on_record_as_exported(door, key, password, tmp_path):
    nowhere = str(tmp_path / "nowhere" / "door.p12")
    words = ("--device", "door-1", "--form", "pkcs12", "--key", key, "--password-file", password)
    assert "cannot be written" in fails("export", *words, "--out", nowhere)
    assert not AuditEvent.objects.filter(kind="certificate.exported").exists()


def test_a_file_that_is_swapped_for_a_link_gives_away_nothing_of_what_the_link_names(
    out, tmp_path, monkeypatch
):
    """By whoever may write into that folder, in the moment after the file is there."""
    mine = tmp_path / "mine"
    mine.write_text("private")
    mine.chmod(0o600)
    link = os.link

    def then_swap(source, target):
        link(source, target)
        target.unlink()
        target.symlink_to(mine)

    monkeypatch.setattr(os, "link", then_swap)
    prints("export", "--roots", "--form", "roots", "--out", str(out))
    assert out.is_symlink()
    assert mode(mine) == 0o600


@pytest.mark.parametrize("form", WITH_A_KEY)
def test_anothers_key_is_refused(door, out, password, tmp_path, form):
    other = tmp_path / "other.key"
    other.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
    )
    words = ("--device", "door-1", "--form", form, "--key", str(other), "--out", str(out))
    more = () if form == "kubernetes" else ("--password-file", password)
    said = fails("export", *words, *more)
    assert "another key" in said
    assert door.certificate.serial in said
    assert not out.exists()
    assert not AuditEvent.objects.filter(kind="certificate.exported").exists()


def test_the_certificate_that_the_key_fits_is_named(door, key, out, password, now):
    older = door.certificate
    newer, _ = issuance.issue(older.device, csr.verify(Gadget("door-1").csr), TESTER, now + SECOND)
    words = ("--form", "pkcs12", "--key", key, "--out", str(out), "--password-file", password)
    said = fails("export", "--serial", newer.certificate.serial, *words)
    assert f"It is that of the certificate {older.serial} of the same device" in said
    assert "serial" in said
    prints("export", "--serial", older.serial, *words)
    other = Fielded.enrolled("gate-1", now)
    out.unlink()
    said = fails("export", "--serial", other.certificate.serial, *words)
    assert f"{older.serial} of door-1" in said
    assert not out.exists()


@pytest.fixture
def locked(door, tmp_path):
    path = tmp_path / "locked.key"
    path.write_bytes(
        door.key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE.encode())
        )
    )
    return str(path)


def test_a_locked_key_opens_with_its_passphrase_from_a_file_or_from_standard_input(
    door, locked, out, password, tmp_path, monkeypatch
):
    (tmp_path / "passphrase").write_text(PASSPHRASE)
    export("pem", locked, out, "--key-passphrase-file", str(tmp_path / "passphrase"), "--no-password")
    out.unlink()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(PASSPHRASE.encode() + b"\r\n")))
    export("pem", locked, out, "--key-passphrase-file", "-", "--password-file", password)
    assert load_pem_private_key(out.read_bytes(), PASSWORD.encode())
    out.unlink()
    both = f"{PASSPHRASE}\n{PASSWORD}\n".encode()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(both)))
    export("pem", locked, out, "--key-passphrase-file", "-", "--password-file", "-")
    assert load_pem_private_key(out.read_bytes(), PASSWORD.encode())


def test_a_wrong_passphrase_is_said_and_not_repeated(door, locked, out, password):
    words = ("export", "--device", "door-1", "--form", "pem", "--key", locked, "--out", str(out))
    said = fails(*words, "--key-passphrase-file", password, "--no-password")
    assert "does not open" in said
    assert PASSWORD not in said
    assert not out.exists()


WRONG_WITH_A_KEY = {
    "a form without a key": (["--device", "door-1", "--form", "der"], "no key in it"),
    "an issuer": (["--issuer", "Nobody", "--form", "pkcs12"], "no issuer"),
    "the roots": (["--roots", "--form", "pem"], "one certificate"),
    "PKCS#12 without a password": (["--device", "door-1", "--form", "pkcs12", "--no-password"], "always"),
    "Kubernetes with one": (
        ["--device", "door-1", "--form", "kubernetes", "--generate-password"],
        "no password",
    ),
    "no file to write": (["--device", "door-1", "--form", "pem", "--no-password"], "--out"),
}


@pytest.mark.parametrize(("words", "named"), WRONG_WITH_A_KEY.values(), ids=WRONG_WITH_A_KEY)
def test_what_makes_no_sense_with_a_key_is_refused(door, key, out, words, named):
    more = () if named == "--out" else ("--out", str(out))
    assert named in fails("export", *words, "--key", key, *more)
    assert not out.exists()


@pytest.mark.parametrize(
    ("form", "instead"), [("chain", ["--form", "pem"]), ("fullchain", ["--form", "pem", "--ca", "root"])]
)
def test_a_chain_with_its_key_is_led_to_before_anything_else_is_asked(door, key, out, form, instead):
    said = fails("export", "--device", "door-1", "--form", form, "--key", key)
    assert said.endswith(f"are {' '.join(instead)}."), said
    prints("export", "--device", "door-1", *instead, "--key", key, "--no-password", "--out", str(out))
    assert out.read_bytes().endswith(prints("export", "--device", "door-1", "--form", form).encode())


@pytest.mark.parametrize("bad", ["short", "pässwort-mit-umlaut", ""])
def test_a_password_that_would_not_do_is_refused(door, key, out, tmp_path, bad):
    (tmp_path / "bad").write_text(bad)
    words = ("export", "--device", "door-1", "--form", "pkcs12", "--key", key, "--out", str(out))
    said = fails(*words, "--password-file", str(tmp_path / "bad"))
    assert not bad or bad not in said
    assert not out.exists()


@pytest.mark.parametrize("what", ["missing", "no key", "a folder"])
def test_a_key_file_that_is_none_is_named_or_explained(door, out, tmp_path, what):
    path = tmp_path / "a.key"
    if what == "no key":
        path.write_text("hello")
    elif what == "a folder":
        path.mkdir()
    words = ("export", "--device", "door-1", "--form", "pem", "--key", str(path), "--out", str(out))
    said = fails(*words, "--no-password")
    assert str(path) in said or "no private key" in said
    assert not out.exists()


def test_where_nobody_can_be_asked_it_says_what_to_do(door, key, locked, out, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    words = ("export", "--device", "door-1", "--form", "pkcs12", "--out", str(out))
    assert "--password-file" in fails(*words, "--key", key)
    assert "--key-passphrase-file" in fails(*words, "--key", locked)
    assert not out.exists()


def at_a_terminal(monkeypatch, *typed):
    """Somebody who types these, unseen; the questions are returned as they come."""
    asked, lines = [], iter(typed)

    def getpass(question):
        asked.append(question)
        return next(lines)

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(passwords.getpass, "getpass", getpass)
    return asked


def test_at_a_terminal_passwords_are_asked_for_the_new_one_twice(door, locked, out, monkeypatch):
    asked = at_a_terminal(monkeypatch, PASSPHRASE, PASSWORD, PASSWORD)
    export("pkcs12", locked, out)
    assert asked == ["Passphrase of the key: ", "New password: ", "New password again: "]
    assert pkcs12.load_pkcs12(out.read_bytes(), PASSWORD.encode()).key is not None


@pytest.mark.parametrize(
    ("typed", "named"),
    [((PASSWORD, "mistyped again"), "two different passwords"), (("short",), "12 to 64")],
)
def test_a_password_that_is_mistyped_or_too_short_writes_nothing(door, key, out, monkeypatch, typed, named):
    at_a_terminal(monkeypatch, *typed)
    words = ("export", "--device", "door-1", "--form", "keystore", "--key", key, "--out", str(out))
    assert named in fails(*words)
    assert not out.exists()


def test_what_is_there_is_said_before_anybody_types(door, key, out, monkeypatch):
    out.write_text("mine")
    asked = at_a_terminal(monkeypatch)
    words = ("export", "--device", "door-1", "--form", "pkcs12", "--key", key, "--out", str(out))
    assert "already" in fails(*words)
    assert (asked, out.read_text()) == ([], "mine")
