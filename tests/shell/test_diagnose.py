"""`manage.py diagnose`: files that do not fit, and how it is said."""

import io
import json
import sys
from datetime import timedelta
from io import StringIO
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import NameOID
from django.core.management import CommandError, call_command

from pki.core import apple, bundles, csr
from pki.management.commands import diagnose
from pki.models import Revocation
from pki.services.exporting import identities, making, subjects
from pki.services.exporting.files import Form
from pki.services.exporting.identities import Container
from pki.services.issuing import authorities, issuance
from pki.services.revoking import revocation
from tests.core import cast
from tests.server import free_ports
from tests.services.cast import DAY, TESTER, Gadget, everything, registered
from tests.services.tls_servers import CLIENT, LOCAL, certificate, pem, self_signed, serving

pytestmark = pytest.mark.usefixtures("ca")

GOOD, REFUSED, UNKNOWN = 0, 1, 2


def diagnosed(*words):
    """The exit status of a diagnosis, and what it prints."""
    out = StringIO()
    try:
        call_command("diagnose", *map(str, words), stdout=out, stderr=StringIO())
    except SystemExit as ended:
        return ended.code, out.getvalue()
    return GOOD, out.getvalue()


def found(*words):
    """The exit status of a diagnosis, and the codes of all that it found."""
    status, printed = diagnosed(*words, "--json")
    return status, {
        finding["code"]
        for each in json.loads(printed)["looked_at"]
        for finding in [*each["findings"], *(one for part in each["parts"] for one in part["findings"])]
    }


def fails(*words):
    with pytest.raises(CommandError) as failed:
        call_command("diagnose", *map(str, words), stdout=StringIO(), stderr=StringIO())
    assert failed.value.returncode == UNKNOWN
    return str(failed.value)


def key_pem(key, password=None):
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


@pytest.fixture
def door(ca, now):
    """A device with a certificate: its key, and its certificate on record."""
    gadget = Gadget("door-1")
    issued, _ = issuance.issue(registered("door-1", now), csr.verify(gadget.csr), TESTER, now)
    return SimpleNamespace(key=gadget.key, csr=gadget.csr, certificate=issued.certificate)


@pytest.fixture
def files(door, tmp_path):
    """The device's files, and those of others, by their names."""
    leaf, chain = door.certificate.parsed, authorities.chain(door.certificate.issuer)
    secret, other = BestAvailableEncryption(b"pw"), ec.generate_private_key(ec.SECP256R1())
    contents = {
        "door.pem": bundles.pem([leaf, *chain]),
        "leaf.pem": bundles.pem([leaf]),
        "door.key": key_pem(door.key),
        "locked.key": key_pem(door.key, "pw"),
        "other.key": key_pem(other),
        "door.csr": door.csr,
        "door.p12": pkcs12.serialize_key_and_certificates(b"door", door.key, leaf, chain, secret),
        "keyless.p12": pkcs12.serialize_key_and_certificates(b"door", None, leaf, chain, secret),
        "truststore.p12": bundles.java_truststore([authorities.root_of(door.certificate.issuer).certificate]),
        "other-truststore.p12": bundles.java_truststore([cast.ca().root]),
        "ca.pem": bundles.pem([authorities.root_of(door.certificate.issuer).certificate]),
        "other-ca.pem": pem(cast.ca().root),
        "empty.pem": b"",
        "words.txt": b"hello",
        "pw.txt": b"pw\n",
        "wrong.txt": b"guess\n",
    }
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


# --- Files ----------------------------------------------------------------------------------------


def test_what_belongs_together_is_not_refused(files):
    for names in (
        ["door.pem", "door.key"],
        ["door.pem", "door.key", "door.csr"],
        ["door.pem", "--cacert", "ca.pem"],
        ["door.p12", "--password-file", "pw.txt"],
        ["locked.key", "door.pem", "--password-file", "pw.txt"],
    ):
        status, printed = diagnosed(*(each if each.startswith("--") else files / each for each in names))
        assert status == GOOD, printed
        assert printed.endswith("Nothing here says that it would be refused.\n")


@pytest.mark.parametrize("store", ["truststore.p12", "other-truststore.p12"])
def test_a_trust_store_needs_no_key(files, store):
    status, codes = found(files / store)
    assert (status, "p12_trust_store" in codes) == (GOOD, True)
    assert not codes & {"p12_without_key", "ca_as_leaf", "self_signed", "unknown_issuer", "eku_missing"}


def test_a_pkcs12_file_is_a_trust_store_like_any_other(files):
    assert found(files / "door.pem", "--cacert", files / "truststore.p12") == found(
        files / "door.pem", "--cacert", files / "ca.pem"
    )
    status, codes = found(files / "door.pem", "--cacert", files / "other-truststore.p12")
    assert (status, "trust_store_lacks_ca" in codes) == (REFUSED, True)
    keyless = (files / "keyless.p12", "--password-file", files / "pw.txt")
    assert found(files / "door.pem", "--cacert", *keyless)[0] == GOOD
    assert "p12_without_key" in found(*keyless)[1]


def test_a_server_whose_root_is_in_a_pkcs12_file_is_trusted(files, now):
    ca = cast.ca()
    with serving(files, pem(certificate(now, *LOCAL), ca.issuing)) as port:
        status, codes = found(f"localhost:{port}", "--cacert", files / "other-truststore.p12")
    assert (status, "chain_trusted" in codes) == (GOOD, True)
    assert "p12_without_key" not in codes


MISTAKES = {
    "the key of another": (["door.pem", "other.key"], REFUSED, "key_mismatch"),
    "a CSR and another's key": (["door.csr", "other.key"], REFUSED, "key_mismatch"),
    "a P12 without its key": (["keyless.p12", "--password-file", "pw.txt"], REFUSED, "p12_without_key"),
    "a wrong trust store": (["door.pem", "--cacert", "other-ca.pem"], REFUSED, "trust_store_lacks_ca"),
    "an empty trust store": (["door.pem", "--cacert", "empty.pem"], REFUSED, "trust_store_empty"),
    "a client's as a server's": (["door.pem", "--use", "server"], REFUSED, "eku_missing"),
    "a CN only": (["door.pem", "--name", "door-1"], REFUSED, "san_missing"),
    "a name that is not in it": (["door.pem", "--name", "gate.example"], REFUSED, "hostname_mismatch"),
    "no intermediate": (["leaf.pem", "--cacert", "ca.pem"], GOOD, "intermediate_missing"),
    "a wrong password": (["door.p12", "--password-file", "wrong.txt"], UNKNOWN, "p12_wrong_password"),
    "no password": (["door.p12"], UNKNOWN, "p12_password_needed"),
    "a locked key": (["locked.key", "door.pem"], UNKNOWN, "password_needed"),
    "an empty file": (["empty.pem"], UNKNOWN, "nothing_pasted"),
    "no such thing": (["words.txt", "door.pem"], UNKNOWN, "not_recognised"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_with_files_is_named(files, mistake):
    names, expected, code = MISTAKES[mistake]
    words = [each if each.startswith("--") or "." not in each else files / each for each in names]
    if "--name" in names:
        words[-1] = names[-1]
    status, codes = found(*words)
    assert (status, code in codes) == (expected, True), codes


def test_a_certificate_that_is_revoked_is_told_from_our_records(door, files, now):
    revocation.revoke([door.certificate], Revocation.Reason.KEY_COMPROMISE, TESTER, now)
    status, codes = found(files / "door.pem")
    assert status == REFUSED
    assert "certificate_revoked" in codes


def test_the_moment_is_now(files, door, time_machine):
    time_machine.move_to(door.certificate.not_after + 3 * DAY)
    assert "certificate_expired" in found(files / "door.pem")[1]
    time_machine.move_to(door.certificate.not_before - timedelta(hours=2))
    status, printed = diagnosed(files / "door.pem")
    assert status == REFUSED
    assert "It is valid only in 2 hours" in printed
    assert "begins in 2 hours" in printed


def test_it_says_in_which_file(files):
    _, printed = diagnosed(files / "door.pem", files / "other.key", files / "keyless.p12")
    assert f"4. Private key ({files / 'other.key'}" not in printed.splitlines()[0]
    assert f"({files / 'other.key'}, PEM, PRIVATE KEY)" in printed
    assert f"{files / 'keyless.p12'}: This PKCS#12 file is encrypted" in printed


def test_standard_input_is_a_file_too(files, monkeypatch):
    data = io.BytesIO((files / "door.pem").read_bytes())
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=data, isatty=lambda: False))
    status, printed = diagnosed("-", files / "other.key")
    assert status == REFUSED
    assert "standard input" in printed
    status, codes = found("-", "-", files / "door.pem")
    assert (status, "nothing_pasted" in codes) == (UNKNOWN, True), "it was read to its end before"


def test_the_password_may_come_from_standard_input(files, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"pw\n"), isatty=lambda: False))
    assert found(files / "door.p12", "--password-file", "-")[0] == GOOD


def test_in_a_terminal_passwords_are_asked_for_where_they_are_needed(files, monkeypatch):
    asked = []
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(diagnose.getpass, "getpass", lambda prompt: asked.append(prompt) or "pw")
    assert diagnosed(files / "door.p12", files / "door.key", files / "locked.key")[0] == GOOD
    assert asked == [f"Password of {files / name}: " for name in ("door.p12", "locked.key")]


def test_a_key_and_a_password_are_nowhere_in_what_is_said(files, door):
    words = (files / "door.p12", files / "door.key", "--password-file", files / "pw.txt")
    for more in ((), ("--json",)):
        _, printed = diagnosed(*words, *more)
        number = door.key.private_numbers().private_value
        assert f"{number:x}" not in printed
        assert "PRIVATE KEY-----" not in printed
        assert "'pw'" not in printed
        assert "private_key_pasted" not in printed, "it has not travelled"


def test_nothing_of_it_is_kept(files):
    before = everything()
    diagnosed(files / "door.pem", files / "door.key")
    assert everything() == before


def test_what_a_stranger_wrote_does_not_move_the_cursor(tmp_path, now):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "evil\x1b[2J\r\u202eeno")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, now - DAY, now + DAY)
    (tmp_path / "evil.pem").write_bytes(pem(builder.sign(key, hashes.SHA256())))
    _, printed = diagnosed(tmp_path / "evil.pem")
    assert "evil" in printed
    assert not {"\x1b", "\r", "\u202e"} & set(printed)


def test_colours_are_for_terminals(files):
    assert "\x1b" not in diagnosed(files / "door.pem", files / "other.key")[1]
    assert "\x1b[" in diagnosed(files / "door.pem", files / "other.key", "--force-color")[1]


# --- Configuration profiles -----------------------------------------------------------------------

OF_THE_SIGNER = {"eku_missing", "certificate_of_no_device", "chain_order", "ca_as_leaf"}


@pytest.fixture
def profiles(door, files, now, monkeypatch):
    """A profile with the roots alone, signed and not, one with an identity, and one of a stranger's root."""
    monkeypatch.setattr(bundles, "LEGACY_ROUNDS", 1000)
    subject = subjects.of_certificate(door.certificate)
    identity = identities.packed(Container.MOBILECONFIG, subject, door.key, "pw", now)
    made = {
        "roots": making.made(Form.MOBILECONFIG, subjects.of_roots(), now).content,
        "door": identity.content,
        "unsigned": apple.profile("Hatchery", "hatchery.example", subject.trusted(now)),
        "other": apple.profile("Other", "other.example", [cast.ca().root]),
    }
    for name, content in made.items():
        (files / f"{name}.mobileconfig").write_bytes(content)
    return files


def test_a_profile_is_what_it_is_and_its_signer_is_not_looked_at_as_a_device(profiles):
    for name in ("roots", "unsigned", "other"):
        status, codes = found(profiles / f"{name}.mobileconfig")
        assert (status, "configuration_profile" in codes) == (GOOD, True), name
        assert not codes & OF_THE_SIGNER
    _, printed = diagnosed(profiles / "roots.mobileconfig")
    assert "1 certificate to trust, and no identity. It is signed by CN=localhost;" in printed
    assert printed.count(". Certificate: ") == 1
    assert "It is not signed." in diagnosed(profiles / "unsigned.mobileconfig")[1]


def test_the_identity_in_a_profile_is_looked_at_with_its_password(profiles, door, now):
    profile, password = profiles / "door.mobileconfig", ("--password-file", profiles / "pw.txt")
    status, codes = found(profile)
    assert (status, {"configuration_profile", "p12_password_needed"} <= codes) == (UNKNOWN, True)
    status, codes = found(profile, *password)
    assert (status, {"configuration_profile", "key_matches", "ours"} <= codes) == (GOOD, True)
    assert not codes & OF_THE_SIGNER
    revocation.revoke([door.certificate], Revocation.Reason.KEY_COMPROMISE, TESTER, now)
    assert "certificate_revoked" in found(profile, *password)[1]


def test_the_roots_of_a_profile_are_a_trust_store_and_its_identity_is_not(profiles, door):
    leaf = profiles / "door.pem"
    for name in ("roots", "unsigned", "door"):
        status, codes = found(leaf, "--cacert", profiles / f"{name}.mobileconfig")
        assert status == GOOD
        assert not {code for code in codes if code.startswith(("trust_store", "p12"))}, name
    strangers = found(leaf, "--cacert", profiles / "other.mobileconfig")
    p12 = bundles.pkcs12_legacy("door-1", door.key, door.certificate.parsed, [], "pw")
    both = apple.profile("B", "b.example", [cast.ca().root], apple.Identity("door-1", p12))
    (profiles / "both.mobileconfig").write_bytes(both)
    secret = ("--password-file", profiles / "pw.txt")
    for status, codes in (strangers, found(leaf, "--cacert", profiles / "both.mobileconfig", *secret)):
        assert (status, "trust_store_lacks_ca" in codes) == (REFUSED, True), "an identity is not trusted"


BROKEN = {
    "cut short": lambda data: data[: len(data) // 2],
    "another property list": lambda data: data.replace(b"<string>Configuration<", b"<string>Other<"),
    "an entity": lambda data: data.replace(b"<plist", b'<!DOCTYPE p [<!ENTITY a "b">]><plist', 1),
    "an encoding": lambda data: data.replace(b'encoding="UTF-8"', b'encoding="no-such"'),
    "a number": lambda data: data.replace(b"<integer>1<", b"<integer>" + b"9" * 9999 + b"<"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_what_is_no_profile_is_not_recognised(profiles, how):
    path = profiles / "unsigned.mobileconfig"
    broken = BROKEN[how](path.read_bytes())
    assert broken != path.read_bytes()
    path.write_bytes(broken)
    status, codes = found(path)
    assert (status, codes) == (UNKNOWN, {"not_recognised"})


# --- Servers --------------------------------------------------------------------------------------


def test_a_server_and_what_it_is_shown_are_looked_at_together(files, now):
    store = files / "other-ca.pem"
    trusted = files / "clients.pem"
    trusted.write_bytes(pem(cast.ca().root, cast.ca().issuing))
    mine = certificate(now, usage=CLIENT)
    (files / "mine.pem").write_bytes(pem(mine, cast.ca().issuing))
    (files / "mine.key").write_bytes(key_pem(cast.private_key("P-256")))
    (files / "mine.p12").write_bytes(
        pkcs12.serialize_key_and_certificates(
            b"mine", cast.private_key("P-256"), mine, [cast.ca().issuing], BestAvailableEncryption(b"pw")
        )
    )
    shown = pem(certificate(now, *LOCAL), cast.ca().issuing)
    with serving(files, shown, "-Verify", "3", "-verify_return_error", "-CAfile", trusted) as port:
        server = f"localhost:{port}"
        nothing = found(server, "--cacert", store)
        for words in (
            ("--cert", files / "mine.pem", "--key", files / "mine.key"),
            ("--p12", files / "mine.p12", "--password-file", files / "pw.txt"),
        ):
            assert "client_certificate_accepted" in found(server, "--cacert", store, *words)[1]
        mismatched = found(server, "--cert", files / "mine.pem", "--key", files / "other.key")
        _, printed = diagnosed(server, "--cacert", store)
    assert nothing[0] == REFUSED
    assert {"client_certificate_not_sent", "hostname_matches", "chain_trusted"} <= nothing[1]
    assert {"key_mismatch", "client_certificate_not_sent"} <= mismatched[1]
    for words in ("TLSv1.3", "TLS_", "CN=Test Root CA", "29 days left", "DNS:localhost"):
        assert words in printed


def test_a_server_that_is_not_reached_was_not_looked_at(tmp_path, now):
    (port,) = free_ports(1)
    status, codes = found(f"127.0.0.1:{port}")
    assert (status, codes) == (UNKNOWN, {"port_closed"})
    (tmp_path / "bad.pem").write_bytes(pem(self_signed(now)))
    assert found(f"127.0.0.1:{port}", tmp_path / "bad.pem")[0] == REFUSED


def test_a_file_whose_name_looks_like_a_server_is_a_file(tmp_path, monkeypatch, now):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd:443").write_bytes(pem(self_signed(now)))
    assert "self_signed" in found("odd:443")[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no-such.pem"], "no-such.pem cannot be read"),
        (["."], "cannot be read"),
        (["http://door.example/"], "host:port"),
        (["door.example:0"], "port 0"),
        (["localhost:99999"], "localhost:99999: There is no port 99999;"),
        (["ada:secret@door.example:443"], "user or a password"),
        (["door.example:443", "--name", "two words"], "--name"),
        (["door.example:443", "--password-file", "no-such.txt"], "no-such.txt cannot be read"),
        (["manage.py", "--cert", "manage.py"], "host:port"),
    ],
)
def test_what_cannot_be_looked_at_is_said_in_a_sentence(words, said):
    assert said in fails(*words)
