"""`manage.py import_ca`: what is taken, what is refused and why, what becomes of each line of an index."""

import io
import sys
from types import SimpleNamespace

import pytest
import time_machine
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID
from django.utils import timezone

from pki.core import authority_files, keys, pins
from pki.keystore import folder, keystore
from pki.models import (
    FULL,
    AuditEvent,
    Certificate,
    CrossCertificate,
    Device,
    Issuer,
    Profile,
    Revocation,
    RevokedSerial,
    StaleList,
)
from pki.services.fleet import devices
from pki.services.issuing import authorities, succession
from pki.services.moving import authority
from pki.services.proving import status
from pki.services.proving.client_issuers import client_issuers
from pki.services.publishing import making, revocation_lists, revocation_status
from pki.services.publishing.known_issuers import KnownIssuer
from pki.services.publishing.revocation_lists import RevocationList
from pki.services.revoking import revocation
from pki.services.trusting import cross_certificates
from pki.services.trusting.anchors import anchors
from tests.clients import run
from tests.core.cast import private_key
from tests.services.cast import TESTER, Gadget, everything, registered, token_for
from tests.services.moving_cast import CLIENT, DAY, PASSPHRASE, OldCa, name
from tests.shell.words import fails, prints, warns


@pytest.fixture(autouse=True)
def _a_house_without_issuers(db, settings, tmp_path):
    """A first run makes keys, and most of these tests need none of them."""
    settings.PORTAL_DATA_DIR = tmp_path
    keystore.cache_clear()
    yield
    keystore.cache_clear()


@pytest.fixture
def old(tmp_path, now):
    return OldCa(tmp_path / "old", now)


def kept_keys() -> list[str]:
    return sorted(path.name for path in folder().glob("*"))


def the_issuer() -> Issuer:
    return Issuer.objects.get(name="Example Root CA")


def listed(issuer: Issuer) -> dict[int, str]:
    """The full CRL: serial → reason."""
    return {entry.serial: entry.reason.value for entry in revocation_status.entries(issuer, FULL, None)}


def answered(issuer: Issuer, serial: int) -> str:
    """What OCSP says of a serial."""
    known = KnownIssuer(issuer.pk, issuer.fingerprint, issuer.not_after)
    return revocation_status.of_serial(known, serial).of.name


# --- The CA ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["P-256", "P-384", "Ed25519", "RSA-2048", "RSA-4096"])
def test_a_ca_with_a_key_of_any_kind_signs_here(kind, tmp_path, now):
    old = OldCa(tmp_path / kind, now, key=private_key(kind))
    assert pins.fingerprint_of(old.certificate) in prints("import_ca", *old.words)
    issuer = the_issuer()
    assert issuer.certificate == old.certificate
    assert keystore().public_key(issuer.key_reference) == old.key.public_key()
    assert AuditEvent.objects.get(kind="issuer.imported").detail["key"] == kind


def traditional(old: OldCa) -> bytes:
    return old.pem(PASSPHRASE, PrivateFormat.TraditionalOpenSSL)


def pkcs8_der(old: OldCa) -> bytes:
    secret = BestAvailableEncryption(PASSPHRASE.encode())
    return old.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, secret)


@pytest.mark.parametrize("form", [traditional, pkcs8_der])
@pytest.mark.parametrize("kind", ["RSA-2048", "P-256"])
def test_a_key_may_be_encrypted_in_each_way_that_openssl_has(form, kind, tmp_path, now):
    old = OldCa(tmp_path / "old", now, key=private_key(kind))
    old.write("ca.key", form(old))
    prints("import_ca", *old.words)
    assert keystore().public_key(the_issuer().key_reference) == old.key.public_key()


def test_a_servers_certificate_is_a_devices_and_is_remarked(old):
    old.issue("www", 1, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]))
    assert "not for clients" in told(old, "line 1")
    assert Device.objects.get(name="www").certificates.count() == 1


def test_a_p12_brings_both(old):
    secret = BestAvailableEncryption(PASSPHRASE.encode())
    p12 = old.write(
        "ca.p12", pkcs12.serialize_key_and_certificates(b"ca", old.key, old.certificate, None, secret)
    )
    prints("import_ca", "--p12", p12, *old.words[4:])
    assert the_issuer().certificate == old.certificate
    old.issue("door-1", 1)
    assert prints("import_ca", "--p12", p12, *old.words[4:], *old.issued).startswith("1 certificates of 1")


def test_the_passphrase_may_come_from_standard_input(old, monkeypatch):
    typed = io.BytesIO(f"{PASSPHRASE}\nwhat follows is not looked at\n".encode())
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=typed))
    prints("import_ca", *old.words[:4], "--passphrase-file", "-")
    assert the_issuer()


def test_a_passphrase_of_another_encoding_opens_the_key(old):
    """As OpenSSL takes it: bytes."""
    secret = "Schlüssel".encode("latin-1")
    encryption = BestAvailableEncryption(secret)
    old.write("ca.key", old.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    words = old.words
    old.write("passphrase", secret + b"\r\n")
    prints("import_ca", *words)
    assert the_issuer()


def test_nobody_is_asked_where_there_is_nobody(old, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: False))
    assert "--passphrase-file" in fails("import_ca", *old.words[:4])


def test_an_unencrypted_key_is_taken_and_complained_of(old):
    old.write("ca.key", old.pem(None))
    assert "was not encrypted" in warns("import_ca", *old.words)
    assert keystore().has(the_issuer().key_reference)


def test_the_key_lies_encrypted_with_hatcherys_passphrase_alone(old, settings):
    prints("import_ca", *old.words)
    path = folder() / f"{the_issuer().key_reference.removeprefix('file:')}.pem"
    assert path.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert path.stat().st_mode & 0o777 == 0o600
    assert run("openssl", "pkey", "-in", path, "-noout", "-passin", f"pass:{PASSPHRASE}").returncode != 0
    mine = f"pass:{settings.PORTAL_KEY_PASSPHRASE}"
    assert run("openssl", "pkey", "-in", path, "-noout", "-passin", mine).returncode == 0


def test_an_imported_root_is_nobodys_anchor_and_signs_for_nobody(ca, old, now):
    before = anchors(now).trusted
    prints("import_ca", *old.words)
    assert anchors(now).trusted == before
    assert not the_issuer().profiles.exists()
    assert the_issuer().published_at is None


def test_its_crls_count_on_from_above_what_anybody_counts_by_hand(old, now):
    prints("import_ca", *old.words)
    found = RevocationList.objects.select_related("issuer").get(issuer=the_issuer(), shard=FULL)
    assert making.make(found, now)
    found.refresh_from_db()
    crl = x509.load_der_x509_crl(bytes(found.der))
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number > 0xFFFF
    assert crl.is_signature_valid(old.key.public_key())


def test_a_ca_below_a_root_is_taken_once_the_root_is_here(old, tmp_path, now):
    below = OldCa(tmp_path / "below", now, subject=name("Example Issuing CA"), signer=old)
    chain = ["--chain", f"{old.folder}/ca.pem"]
    assert "Import that one first" in fails("import_ca", *below.words, *chain)
    prints("import_ca", *old.words)
    prints("import_ca", *below.words, *chain)
    assert Issuer.objects.get(name="Example Issuing CA").parent == the_issuer()


def test_a_name_that_is_taken_can_be_chosen_otherwise(old, tmp_path, now):
    prints("import_ca", *old.words)
    namesake = OldCa(tmp_path / "namesake", now)
    assert "choose another name" in fails("import_ca", *namesake.words)
    prints("import_ca", *namesake.words, "--name", "Example Root CA of 2019")
    assert Issuer.objects.get(name="Example Root CA of 2019").certificate == namesake.certificate


# --- What is refused ------------------------------------------------------------------------------

NO_EXTENSIONS: list = []
NO_CA = [x509.BasicConstraints(ca=False, path_length=None)]
SIGNS_NOTHING = [
    x509.BasicConstraints(ca=True, path_length=None),
    x509.KeyUsage(True, False, False, False, False, False, False, False, False),
]
UNFIT = {
    "without basicConstraints": ({"extensions": NO_EXTENSIONS}, "does not say that it is a CA's"),
    "a device's": ({"extensions": NO_CA}, "no CA's"),
    "one whose keyUsage signs nothing": ({"extensions": SIGNS_NOTHING}, "keyCertSign"),
    "expired": ({"begun": -20 * DAY, "ends": -DAY}, "ended on"),
    "of tomorrow": ({"begun": DAY}, "clock"),
    "P-521": ({"key": private_key("P-521")}, "P-521"),
    "short RSA": ({"key": private_key("RSA-1024")}, "RSA-1024"),
}


@pytest.mark.parametrize(("options", "why"), UNFIT.values(), ids=UNFIT)
def test_a_ca_that_cannot_sign_here_is_refused_with_the_reason(options, why, tmp_path, now):
    old = OldCa(tmp_path / "old", now, **options)
    before = everything()
    assert why in fails("import_ca", *old.words)
    assert everything() == before


def another_key(old: OldCa) -> list[str]:
    old.key = keys.generate("P-256")
    old.write("ca.key", old.pem(PASSPHRASE))
    return old.words


def wrong_passphrase(old: OldCa) -> list[str]:
    words = old.words
    old.write("passphrase", b"another one\n")
    return words


def no_key(old: OldCa) -> list[str]:
    return old.words[:2]


def no_such_file(old: OldCa) -> list[str]:
    (old.folder / "ca.key").unlink()
    return old.words


def a_folder(old: OldCa) -> list[str]:
    return ["--cert", str(old.folder), *old.words[2:]]


def swapped(old: OldCa) -> list[str]:
    return ["--cert", old.words[3], "--key", old.words[1], *old.words[4:]]


def keyless_p12(old: OldCa) -> list[str]:
    data = pkcs12.serialize_key_and_certificates(None, None, None, [old.certificate], NoEncryption())
    return ["--p12", old.write("ca.p12", data)]


def p12_of_another_passphrase(old: OldCa) -> list[str]:
    data = pkcs12.serialize_key_and_certificates(
        None, old.key, old.certificate, None, BestAvailableEncryption(b"another one")
    )
    return ["--p12", old.write("ca.p12", data), *old.words[4:]]


def not_a_p12(old: OldCa) -> list[str]:
    return ["--p12", old.write("ca.p12", b"\x30\x03\x02\x01\x00"), *old.words[4:]]


def both_ways(old: OldCa) -> list[str]:
    return [*old.words, "--p12", old.words[1]]


def huge(old: OldCa) -> list[str]:
    old.write("ca.key", b"x" * 2_000_000)
    return old.words


def another_signature(old: OldCa) -> list[str]:
    forged = OldCa(old.folder / "forged", old.now, key=keys.generate("P-256"))
    builder = old._builder(old.subject, old.key, old.subject, 1, -DAY, DAY).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    old.write("ca.pem", builder.sign(forged.key, hashes.SHA256()).public_bytes(Encoding.PEM))
    return old.words


WRONG = {
    another_key: "do not belong together",
    wrong_passphrase: "does not open with this passphrase",
    no_key: "--cert with --key",
    no_such_file: "cannot be read",
    a_folder: "cannot be read",
    swapped: "no certificate in PEM or DER",
    keyless_p12: "no private key in it",
    p12_of_another_passphrase: "does not open with this passphrase",
    not_a_p12: "does not open with this passphrase, or it is damaged, or none",
    both_ways: "--p12 by itself",
    huge: "more than",
    another_signature: "own key did not sign it",
}


@pytest.mark.parametrize(("spoil", "why"), WRONG.items(), ids=[each.__name__ for each in WRONG])
def test_wrong_files_are_refused_with_the_reason_and_leave_nothing(spoil, why, old):
    words = spoil(old)
    before, kept = everything(), kept_keys()
    message = fails("import_ca", *words)
    assert why in message
    assert PASSPHRASE not in message
    assert everything() == before
    assert kept_keys() == kept


def test_what_is_refused_once_the_key_was_kept_takes_it_away_again(old, tmp_path, now):
    other = OldCa(tmp_path / "other", now, subject=name("Other Root CA"))
    old.issue("door-1", 1)
    prints("import_ca", *other.words, "--certs", f"{other.folder}/newcerts", "--profile", "example-root-ca")
    before, kept = everything(), kept_keys()
    assert "of another issuer" in fails("import_ca", *old.words, *old.issued)
    assert "letters, digits and hyphens" in fails("import_ca", *old.words, *old.issued, "--profile", "Bad!")
    assert "choose another name" in fails("import_ca", *old.words, "--name", "Other Root CA")
    assert everything() == before
    assert kept_keys() == kept


def test_a_key_that_an_issuer_has_all_the_same_is_not_taken_away(old):
    """The answer of a COMMIT that came through was lost."""
    paths = [old.folder / "ca.pem", old.folder / "ca.key"]
    brought = authority_files.from_files(*(path.read_bytes() for path in paths), PASSPHRASE)
    with pytest.raises(ConnectionError), authority.key_of(brought) as key:  # noqa: PT012
        authority.import_authority(brought, key, TESTER, timezone.now())
        raise ConnectionError
    assert keystore().has(the_issuer().key_reference)


def test_a_chain_that_leads_elsewhere_is_refused(old, tmp_path, now):
    stranger = OldCa(tmp_path / "stranger", now, subject=name("Stranger"))
    below = OldCa(tmp_path / "below", now, subject=name("Example Issuing CA"), signer=old)
    why = fails("import_ca", *below.words, "--chain", f"{stranger.folder}/ca.pem")
    assert "neither here nor in the chain" in why


def test_the_same_ca_is_not_imported_twice(old):
    prints("import_ca", *old.words)
    before = everything()
    assert "here already" in fails("import_ca", *old.words)
    assert everything() == before


def test_the_same_key_under_another_certificate_is_no_second_ca(old, tmp_path, now):
    prints("import_ca", *old.words)
    again = OldCa(tmp_path / "again", now, key=old.key, ends=7300 * DAY)
    assert "has the same key" in fails("import_ca", *again.words, "--name", "Another")


def test_a_ca_that_its_root_has_revoked_is_not_taken(old, tmp_path, now):
    below = OldCa(tmp_path / "below", now, subject=name("Example Issuing CA"), signer=old, serial=0x1000)
    old.issue("Example Issuing CA", 0x1000, copy=False, revoked="260102030405Z,CACompromise")
    prints("import_ca", *old.words, *old.issued)
    assert "has revoked this CA" in fails("import_ca", *below.words)


@pytest.mark.parametrize("reason", ["keyCompromise", "superseded", "certificateHold"])
def test_a_ca_that_its_root_revokes_later_is_compromised_everywhere(reason, old, tmp_path, now):
    below = OldCa(tmp_path / "below", now, subject=name("Example Issuing CA"), signer=old, serial=0x1000)
    below.issue("door-1", 5, CLIENT)
    prints("import_ca", *old.words)
    prints("import_ca", *below.words, *below.issued)
    old.issue("Example Issuing CA", 0x1000, copy=False, revoked=f"260102030405Z,{reason}")
    printed = prints("import_ca", *old.words[:2], *old.issued)
    assert "0 revoked by serial alone; 1 CAs below it declared compromised" in printed
    lost = Issuer.objects.get(name="Example Issuing CA")
    assert lost.state == Issuer.State.COMPROMISED
    assert AuditEvent.objects.filter(kind="issuer.compromised").count() == 1
    entries = list(revocation_status.entries(the_issuer(), FULL, None))
    assert [entry.serial for entry in entries] == [0x1000], "it stands on the list once"
    root, signed = (KnownIssuer(each.pk, each.fingerprint, each.not_after) for each in (the_issuer(), lost))
    root.below[0x1000] = signed
    assert revocation_status.of_serial(root, 0x1000).of.name == "REVOKED"
    with pytest.raises(status.CompromisedIssuer):
        status.standing(Certificate.objects.get(issuer=lost).fingerprint, now)
    assert "declared" not in prints("import_ca", *old.words[:2], *old.issued)


def test_without_an_index_it_is_said_that_revocations_are_not_known(old):
    old.issue("stolen", 1, CLIENT, revoked="260102030405Z,keyCompromise")
    said = "The CA: No index came with it: "
    assert said in warns("import_ca", *old.words)
    assert said in warns("import_ca", *old.words[:2], *old.issued[2:])
    assert said not in warns("import_ca", *old.words[:2], *old.issued)


# --- What it has issued ---------------------------------------------------------------------------


def test_each_line_becomes_a_device_with_its_certificate(old, now):
    door = old.issue("door-1", 0x1000, CLIENT, x509.SubjectAlternativeName([x509.DNSName("Door-1.example")]))
    old.issue("door-2", 0x1001, CLIENT, revoked="260102030405Z,keyCompromise")
    old.issue("door-3", 0x1002, CLIENT, status="E", begun=-300 * DAY, ends=-DAY)
    printed = prints("import_ca", *old.words, *old.issued)
    assert "3 certificates of 3 new devices; 1 revoked" in printed
    assert "the profile example-root-ca: 30 days." in printed
    device = Device.objects.get(name="door-1")
    assert (device.subject, device.sans) == ({"O": "Example"}, ["DNS:Door-1.example"])
    certificate = Certificate.objects.get(device=device)
    assert certificate.parsed == door
    assert certificate.serial == "1000"
    assert device.profile.issuer == the_issuer()
    assert status.standing(pins.fingerprint_of(door), now).device == "door-1"
    revocation = Revocation.objects.get()
    assert revocation.certificate.device.name == "door-2"
    assert (revocation.reason, f"{revocation.revoked_at:%Y%m%d%H%M%S}") == ("keyCompromise", "20260102030405")
    assert listed(the_issuer()) == {0x1001: "keyCompromise"}
    assert [answered(the_issuer(), serial) for serial in (0x1000, 0x1001, 0x1003)] == [
        "GOOD",
        "REVOKED",
        "UNKNOWN",
    ]
    assert old.certificate in client_issuers()
    assert Device.objects.get(name="door-3").certificates.get().not_after < now


def test_a_new_device_enrolls_under_it_and_its_serial_is_none_of_the_old_ones(ca, old, now):
    old.issue("door-1", 1)
    prints("import_ca", *old.words, *old.issued, "--profile", "doors")
    device = registered("door-9", now)
    device.profile = Profile.objects.get(name="doors")
    device.save()
    issued = Gadget("door-9").enroll(token_for(device, now), now)
    issued.certificate.parsed.verify_directly_issued_by(old.certificate)
    assert issued.certificate.parsed.serial_number.bit_length() > 64


def test_a_device_renews_with_its_old_certificate_in_hand_and_keeps_its_names(old, now):
    old.issue("door-1", 1, x509.SubjectAlternativeName([x509.DNSName("door-1.example")]))
    prints("import_ca", *old.words, *old.issued)
    device = Device.objects.get(name="door-1")
    issued = Gadget("door-1").enroll(token_for(device, now), now)
    assert issued.certificate.parsed.subject == name("door-1")
    assert issued.certificate.sans == ["DNS:door-1.example"]


@pytest.mark.parametrize("usage", [x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), None])
def test_a_certificate_whose_extensions_cannot_be_read_is_left_out(usage, old):
    """Nobody can say then that it is for servers alone, or a CA's."""
    broken = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"\x30\x03\x82")
    old.issue("door-1", 1, usage or x509.BasicConstraints(ca=True, path_length=None), broken)
    assert "its extensions cannot be read" in told(old, "line 1")
    assert not Certificate.objects.filter(issuer=the_issuer()).exists()


def test_without_an_index_every_certificate_of_the_ca_in_the_folder_is_good(old, tmp_path, now):
    old.issue("door-1", 1, line=False)
    stranger = OldCa(tmp_path / "stranger", now, subject=name("Stranger"))
    foreign = stranger.issue("door-2", 2)
    old.write("newcerts/foreign.pem", foreign.public_bytes(Encoding.PEM))
    old.write("newcerts/ca.pem", old.certificate.public_bytes(Encoding.PEM))
    old.write("newcerts/door-1.key", old.pem(None))
    old.write("newcerts/notes.txt", b"remember the milk")
    old.write(
        "newcerts/door-4.der", old.issue("door-4", 4, line=False, copy=False).public_bytes(Encoding.DER)
    )
    printed = prints("import_ca", *old.words, "--certs", f"{old.folder}/newcerts")
    assert "2 certificates of 2 new devices; 0 revoked" in printed
    assert not Device.objects.filter(name="door-2").exists()


def told(old: OldCa, where: str) -> str:
    """What an import says of one line or file."""
    said = warns("import_ca", *old.words, *old.issued).splitlines()
    found = [line for line in said if line.startswith(f"{where}: ")]
    assert len(found) == 1, said
    return found[0]


def test_a_good_line_without_its_file_is_reported(old):
    old.issue("door-1", 1, copy=False)
    assert "its device is not known here" in told(old, "line 1")
    assert not Device.objects.filter(name="door-1").exists()


def test_a_revocation_without_its_file_is_kept_by_the_serial(old, now):
    old.issue("door-1", 0x1000, copy=False, revoked="260102030405Z,superseded")
    assert "kept by the serial" in told(old, "line 1")
    issuer = the_issuer()
    assert listed(issuer) == {0x1000: "superseded"}
    assert answered(issuer, 0x1000) == "REVOKED"
    assert not Certificate.objects.filter(issuer=issuer).exists()


def test_a_serial_that_ended_leaves_the_list(old, now):
    old.issue("door-1", 0x1000, copy=False, revoked="260102030405Z", begun=-9 * DAY, ends=-5 * DAY)
    prints("import_ca", *old.words, *old.issued)
    assert [*revocation_status.entries(the_issuer(), FULL, now - 6 * DAY)]
    assert not [*revocation_status.entries(the_issuer(), FULL, now)]


def test_a_serial_whose_file_is_found_later_stands_on_the_list_once(old):
    certificate = old.issue("door-1", 0x1000, copy=False, revoked="260102030405Z,superseded")
    prints("import_ca", *old.words, *old.issued)
    old.write("newcerts/found.pem", certificate.public_bytes(Encoding.PEM))
    assert "1 certificates of 1 new devices; 1 revoked" in prints("import_ca", *old.words, *old.issued)
    assert [entry.serial for entry in revocation_status.entries(the_issuer(), FULL, None)] == [0x1000]
    assert RevokedSerial.objects.count() == 1


def test_a_serial_that_was_revoked_stays_so_though_a_later_index_calls_it_good(old):
    certificate = old.issue("door-1", 0x1000, copy=False, revoked="260102030405Z,superseded")
    prints("import_ca", *old.words, *old.issued)
    old.lines.clear()
    old.issue("door-1", 0x1000, line=True, copy=False)
    old.write("newcerts/found.pem", certificate.public_bytes(Encoding.PEM))
    prints("import_ca", *old.words, *old.issued)
    assert listed(the_issuer()) == {0x1000: "superseded"}


REASONS = {
    "keyCompromise": "keyCompromise",
    "CACompromise": "keyCompromise",
    "keyTime,20260102030405Z": "keyCompromise",
    "certificateHold": "certificateHold",
    "holdInstruction,holdInstructionReject": "certificateHold",
    "removeFromCRL": "unspecified",
    "somethingElse": "unspecified",
}


def test_every_reason_of_openssl_becomes_one_of_ours_and_a_change_is_said(old):
    for serial, written in enumerate(REASONS, 1):
        old.issue(f"door-{serial}", serial, revoked=f"260102030405Z,{written}")
    said = warns("import_ca", *old.words, *old.issued)
    for serial, (written, kept) in enumerate(REASONS.items(), 1):
        assert Revocation.objects.get(certificate__serial=f"{serial:x}").reason == kept
        plain = written.partition(",")[0]
        assert (f"line {serial}: its reason {plain!r} is kept as {kept}." in said) == (plain != kept)


def test_a_revocation_of_a_clock_that_was_ahead_is_of_now(old, now):
    old.issue("door-1", 1, revoked="490102030405Z")
    old.issue("door-2", 2, revoked="490102030405Z", copy=False)
    prints("import_ca", *old.words, *old.issued)
    dates = [entry.revoked_at for entry in revocation_status.entries(the_issuer(), FULL, None)]
    assert [now <= date <= timezone.now() for date in dates] == [True, True]


def test_odd_names_become_devices_and_are_reported(old):
    odd = {
        "John Doe": ("John-Doe", ()),
        "*.example.com": ("example.com", ()),
        "Tür 7": ("door-7.example", (x509.SubjectAlternativeName([x509.DNSName("door-7.example")]),)),
        "日本": ("serial-4", ()),
    }
    for serial, (common_name, (_, extensions)) in enumerate(odd.items(), 1):
        old.issue(common_name, serial, *extensions)
    old.issue(None, 5, x509.SubjectAlternativeName([x509.RFC822Name("ada@example.com")]), organization=None)
    said = warns("import_ca", *old.words, *old.issued)
    expected = [*(device for device, _ in odd.values()), "ada@example.com"]
    for serial, device in enumerate(expected, 1):
        assert Certificate.objects.get(serial=f"{serial:x}").device.name == device
        assert f"line {serial}: " in said
    numbers = [
        int(line.removeprefix("line ").split(":")[0]) for line in said.splitlines() if line[:5] == "line "
    ]
    assert numbers == sorted(numbers)


ODD = "\x00\x1b]0;pwned\x07\x1b[31m\u202e"


def test_what_strangers_wrote_reaches_no_terminal_and_no_database_raw(old, now):
    """A NUL cannot be stored in PostgreSQL; an ESC moves a terminal's cursor."""
    old.issue(f"door{ODD}-1", 1, organization=f"Ex{ODD}")
    old.issue(None, 2, organization=f"Ex{ODD}")
    old.issue(f"door{ODD}-3", 3, organization=f"Ex{ODD}", copy=False, revoked="260102030405Z")
    (old.folder / "newcerts" / "odd\x1b[31m.pem").write_bytes(b"-----BEGIN CERTIFICATE-----")
    err = warns("import_ca", *old.words, *old.issued)
    assert [each for each in err if not each.isprintable() and each != "\n"] == []
    assert "the device is called door-0-pwned-31m--1" in err
    rows = [row for table in everything().values() for row in table]
    stored = repr([value for row in rows for value in row.values() if isinstance(value, str | dict | list)])
    assert "door-0-pwned" in stored
    assert not any(rf"\x{ord(each):02x}" in stored for each in "\x00\x1b\x07")
    assert Certificate.objects.filter(common_name__startswith="door").count() == 1
    again = prints("import_ca", *old.words[:2], *old.issued)
    assert "0 certificates of 0 new devices; 0 revoked; 0 revoked by serial alone; 2 were here" in again


def test_a_refusal_reaches_the_terminal_plain(tmp_path, now):
    odd = name(f"Root{ODD}")
    root = OldCa(tmp_path / "root", now, subject=odd)
    below = OldCa(tmp_path / "below", now, subject=name(f"Below{ODD}"), signer=root)
    assert fails("import_ca", *below.words, "--chain", f"{root.folder}/ca.pem").isprintable()
    prints("import_ca", *root.words)
    assert Issuer.objects.get().name.startswith("Root\N{REPLACEMENT CHARACTER}")


def test_one_device_has_all_certificates_of_its_subject(old):
    old.issue("door-1", 1, begun=-20 * DAY, revoked="260102030405Z,superseded")
    old.issue("door-1", 2, x509.SubjectAlternativeName([x509.DNSName("new.example")]), begun=-5 * DAY)
    assert "2 certificates of 1 new devices" in prints("import_ca", *old.words, *old.issued)
    assert Device.objects.get(name="door-1").sans == ["DNS:new.example"], "the newest says how it is"


def test_a_name_that_another_device_has_is_not_shared(ca, old, now):
    """Whoever holds the imported certificate would be the device that enrolled here."""
    mine = registered("door-1", now)
    old.issue("door-1", 1)
    old.issue("door-1", 2, organization="Somebody else")
    said = warns("import_ca", *old.words, *old.issued)
    assert not mine.certificates.exists()
    names = {each.serial: each.device.name for each in Certificate.objects.filter(issuer=the_issuer())}
    assert names == {"1": "door-1-2", "2": "door-1-3"}
    assert "line 1: another device is called door-1; this one is called door-1-2." in said


def test_a_key_that_two_devices_share_is_reported(old):
    shared = keys.generate("P-256")
    old.issue("door-1", 1, key=shared)
    old.issue("door-2", 2, key=shared)
    assert "door-1 has the same key" in told(old, "line 2")


def test_certificates_that_no_crl_can_name_are_left_out_and_reported(old):
    old.issue("door-1", old.certificate.serial_number, line=False)
    old.issue("door-2", 7)
    old.write("newcerts/twin.pem", old.issue("door-3", 7, copy=False, line=False).public_bytes(Encoding.PEM))
    said = warns("import_ca", *old.words, *old.issued)
    assert "CA.pem: left out: it has the serial of the CA itself" in said
    assert "twin.pem: left out: 07.pem has the same serial" in said
    assert set(Device.objects.values_list("name", flat=True)) == {"door-2"}


def test_a_ca_in_the_index_is_no_device_and_its_revocation_is_kept(old):
    old.issue("Below", 5, x509.BasicConstraints(ca=True, path_length=0), revoked="260102030405Z,superseded")
    assert "it is a CA's; import that CA by itself" in told(old, "line 1")
    assert not Device.objects.filter(name="Below").exists()
    assert listed(the_issuer()) == {5: "superseded"}


def test_a_copy_whose_extensions_cannot_be_read_is_no_device_and_its_revocation_is_kept(old):
    """A CA's, for all that can be known of it."""
    malformed = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"\x30\x03\x82\x05a")
    old.issue("below", 5, x509.BasicConstraints(ca=True, path_length=0), malformed)
    old.issue("door-1", 6, malformed, revoked="260102030405Z,superseded")
    said = warns("import_ca", *old.words, *old.issued)
    assert said.count("its extensions cannot be read") == 2
    assert not Certificate.objects.filter(issuer=the_issuer()).exists()
    assert listed(the_issuer()) == {6: "superseded"}


def test_a_copy_that_another_ca_of_the_name_signed_is_left_out(old, tmp_path, now):
    forger = OldCa(tmp_path / "forger", now)
    old.issue("door-1", 1)
    forged = forger.issue("admin-door", 1)
    old.write("newcerts/01.pem", forged.public_bytes(Encoding.PEM))
    assert "this CA did not sign it" in told(old, "line 1")
    assert not Certificate.objects.filter(issuer=the_issuer()).exists()


NO_LINES = {
    "blanks for tabs": "V 270101000000Z  01 unknown /CN=a",
    "an unknown state": "X\t270101000000Z\t\t01\tunknown\t/CN=a",
    "revoked, but never": "R\t270101000000Z\t\t01\tunknown\t/CN=a",
    "no date": "V\t279901000000Z\t\t01\tunknown\t/CN=a",
    "no serial": "V\t270101000000Z\t\tZZ\tunknown\t/CN=a",
}


@pytest.mark.parametrize("line", NO_LINES.values(), ids=NO_LINES)
def test_an_index_with_a_line_that_cannot_be_read_imports_nothing(old, line):
    """A revocation may stand on it."""
    old.issue("door-1", 1)
    old.write("index.txt", f"{old.lines[0]}\n{line}\n".encode())
    before, kept = everything(), kept_keys()
    assert fails("import_ca", *old.words, *old.issued).startswith("Line 2")
    assert everything() == before
    assert kept_keys() == kept


# --- Again ----------------------------------------------------------------------------------------


def test_done_twice_it_changes_nothing_but_the_audit_trail(old):
    old.issue("door-1", 1)
    old.issue("John Doe", 2, revoked="260102030405Z")
    old.issue("door-3", 3, copy=False, revoked="260102030405Z")
    prints("import_ca", *old.words, *old.issued)
    before = everything()
    printed = prints("import_ca", *old.words, *old.issued)
    assert (
        "0 certificates of 0 new devices; 0 revoked; 0 revoked by serial alone; 2 were here before" in printed
    )
    after = everything()
    differing = {table for table in after if after[table] != before[table]}
    assert differing == {"pki.AuditEvent"}


def test_what_was_revoked_and_issued_since_is_added_and_needs_no_key(old):
    certificate = old.issue("door-1", 1)
    prints("import_ca", *old.words, *old.issued)
    old.lines.clear()
    old.issue("door-1", 1, line=True, copy=False, revoked="260102030405Z,keyCompromise")
    old.issue("door-1", 2, begun=-DAY)
    StaleList.objects.all().delete()
    printed = prints("import_ca", *old.words[:2], *old.issued)
    assert "1 certificates of 0 new devices; 1 revoked; 0 revoked by serial alone; 1 were here" in printed
    assert Revocation.objects.get().certificate.parsed == certificate
    assert StaleList.objects.filter(issuer=the_issuer(), shard=FULL).exists(), "a new CRL is made"
    assert Device.objects.get(name="door-1").certificates.count() == 2


def test_what_was_revoked_here_stays_so_whatever_an_index_says(old, now):
    old.issue("door-1", 1)
    prints("import_ca", *old.words, *old.issued)
    prints("revoke", "--serial", "01", "--reason", "keyCompromise")
    prints("import_ca", *old.words, *old.issued)
    assert listed(the_issuer()) == {1: "keyCompromise"}


def test_a_hold_that_was_lifted_here_is_not_placed_again_by_the_same_index(old, now):
    certificate = old.issue("door-1", 1, copy=False, revoked="260102030405Z,certificateHold")
    old.issue("door-2", 2, revoked="260102030405Z,certificateHold")
    prints("import_ca", *old.words, *old.issued)
    old.write("newcerts/found.pem", certificate.public_bytes(Encoding.PEM))
    prints("import_ca", *old.words, *old.issued)
    revocation.lift(Certificate.objects.all(), TESTER, now)
    assert "line 2: not put on hold again" in told(old, "line 2")
    assert "0 revoked" in prints("import_ca", *old.words[:2], *old.issued)
    assert not Revocation.objects.exists()
    assert listed(the_issuer()) == {}
    assert answered(the_issuer(), 1) == "GOOD"
    old.lines.clear()
    old.issue("door-1", 1, copy=False, revoked=f"{now + DAY:%y%m%d%H%M%SZ},certificateHold")
    old.issue("door-2", 2, copy=False, revoked="260102030405Z,keyCompromise")
    with time_machine.travel(now + 2 * DAY):
        assert "2 revoked" in prints("import_ca", *old.words[:2], *old.issued), "what is new since counts"
    assert listed(the_issuer()) == {1: "certificateHold", 2: "keyCompromise"}


def test_what_is_on_hold_here_is_revoked_for_good_once_the_index_says_so(old):
    old.issue("door-1", 1, revoked="260102030405Z,certificateHold")
    prints("import_ca", *old.words, *old.issued)
    old.lines.clear()
    old.issue("door-1", 1, copy=False, revoked="260203040506Z,keyCompromise")
    assert "1 revoked" in prints("import_ca", *old.words[:2], *old.issued)
    assert listed(the_issuer()) == {1: "keyCompromise"}
    assert "0 revoked" in prints("import_ca", *old.words[:2], *old.issued)


def test_each_revocation_is_in_the_audit_trail(old):
    old.issue("door-1", 1)
    old.issue("door-2", 2, revoked="260102030405Z,superseded")
    old.issue("door-3", 0xA3, copy=False, revoked="260102030405Z,keyCompromise")
    prints("import_ca", *old.words, *old.issued)
    old.lines.clear()
    old.issue("door-1", 1, line=True, copy=False, revoked="260203040506Z,keyCompromise")
    prints("import_ca", *old.words[:2], *old.issued)
    prints("import_ca", *old.words[:2], *old.issued)
    events = AuditEvent.objects.filter(kind="certificate.revoked").order_by("pk")
    assert [(each.device.name, each.certificate.serial, each.detail["reason"]) for each in events] == [
        ("door-2", "2", "superseded"),
        ("door-1", "1", "keyCompromise"),
    ]
    assert events[1].detail["revoked_at"] == "2026-02-03T04:05:06+00:00"
    assert "Example Root CA" in events[1].detail["note"]
    alone = AuditEvent.objects.get(kind="issuer.serials_revoked")
    assert alone.detail == {"issuer": "Example Root CA", "serials": {"a3": "keyCompromise"}}


def test_broken_off_in_the_middle_it_has_left_nothing_and_is_done_again(old, monkeypatch):
    old.issue("door-1", 1, revoked="260102030405Z")
    before, kept = everything(), kept_keys()

    def is_killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(revocation_lists, "note", is_killed)
        with pytest.raises(KeyboardInterrupt):
            prints("import_ca", *old.words, *old.issued)
    assert everything() == before
    assert kept_keys() == kept, "and no key of a CA that is not here"
    assert "1 certificates of 1 new devices; 1 revoked" in prints("import_ca", *old.words, *old.issued)


# --- Later ----------------------------------------------------------------------------------------


def test_a_ca_below_it_takes_over_and_the_old_root_is_trusted_on(old, tmp_path, actor, now):
    prints("import_ca", *old.words, "--certs", str(old.folder / "newcerts"), "--profile", "doors")
    below = authorities.make_subordinate("Example Issuing CA", the_issuer(), "P-256", actor, now)
    profile = Profile.objects.get(name="doors")
    profile.issuer = below
    profile.save()
    device = devices.register("door-9", profile, actor, now)
    issued = Gadget("door-9").enroll(token_for(device, now), now)
    (tmp_path / "door-9.pem").write_bytes(issued.pem)
    words = ("-untrusted", tmp_path / "door-9.pem", "-CAfile", old.folder / "ca.pem", tmp_path / "door-9.pem")
    assert run("openssl", "verify", *words).returncode == 0


def test_no_ca_is_made_below_one_that_may_have_none_and_it_vouches_for_no_other_root(tmp_path, actor, now):
    only = OldCa(tmp_path / "only", now, extensions=[x509.BasicConstraints(ca=True, path_length=0)])
    assert "path length is 0" in warns("import_ca", *only.words)
    with pytest.raises(authorities.ParentInactive, match="path length of 0"):
        authorities.make_subordinate("Below", the_issuer(), "P-256", actor, now)
    successor = succession.make_next(the_issuer(), "P-256", actor, now)
    pairs = CrossCertificate.objects.values_list("subject__name", "signer__name")
    assert [*pairs] == [("Example Root CA", successor.name)]
    assert cross_certificates.renew_due(now) == 0


# --- The listeners --------------------------------------------------------------------------------


def test_the_listeners_move_under_it_where_nobody_trusts_another_root(ca, old, now):
    old.issue("door-1", 1)
    prints("import_ca", *old.words, *old.issued, "--listeners")
    assert Profile.objects.get(name="server").issuer == the_issuer()
    assert the_issuer() in anchors(now).trusted


def test_the_listeners_stay_where_devices_would_refuse_them(ca, old, now):
    device = registered("door-9", now)
    Gadget("door-9").enroll(token_for(device, now), now)
    server = Profile.objects.get(name="server").issuer
    assert "door-9" in fails("import_ca", *old.words, "--listeners")
    assert not Issuer.objects.filter(name="Example Root CA").exists(), "said before anything is done"
    prints("import_ca", *old.words)
    assert "door-9" in fails("import_ca", *old.words, "--listeners")
    assert Profile.objects.get(name="server").issuer == server
    assert the_issuer().published_at is None
