"""Issuing by hand: looked at first, everything that is refused at once, and done once."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12

from pki.core import csr, file_passwords, keys, pins
from pki.core.profiles import ExtendedKeyUsage
from pki.models import AuditEvent, Certificate, Device, EnrollmentRequest, Issuer, Profile, Revocation
from pki.services import by_hand
from pki.services.audit import Actor
from pki.services.by_hand import Container, Holder
from pki.services.fleet import devices
from pki.services.revoking import revocation
from tests.clients import make_csr
from tests.services.cast import (
    TESTER,
    Gadget,
    at_once,
    change_state,
    everything,
    issue,
    registered,
    serials,
    set_policy,
)

ADA = Actor("administrator:ada", "192.0.2.1")
PASSWORD = "a-long-enough-password"
DOOR = Holder("door-1")


@pytest.fixture
def door(ca, now):
    return registered("door-1", now)


def asked(name="door-1", **wishes):
    return csr.verify(make_csr(name, **wishes))


def newcomer(name="lamp-1", **record):
    return Holder(name, devices.default_profile(), **record)


def codes(look):
    return [refusal.code for refusal in look.refusals]


def server_profile():
    return Profile.objects.get(name="server")


# --- The preview ----------------------------------------------------------------------------------


def test_a_preview_says_what_would_be_issued_and_that_is_what_is_issued(door, now):
    request = asked(sans=[x509.DNSName("door.example")])
    look = by_hand.preview(DOOR, request, now)
    assert codes(look) == []
    assert look.outcome.subject == {"CN": "door-1"}
    assert look.outcome.ignored == ("SAN DNS:door.example",)
    issued, granted = by_hand.issue(DOOR, request, ADA, now, mark=look.mark)
    parsed = issued.certificate.parsed
    assert (parsed.not_valid_before_utc, parsed.not_valid_after_utc) == look.validity
    assert granted.ignored == look.outcome.ignored


def test_a_preview_writes_nothing(door, now):
    before = everything()
    by_hand.preview(DOOR, asked(), now)
    by_hand.preview(newcomer(), "P-256", now)
    assert everything() == before


def test_all_that_is_wrong_is_said_at_once(door, now):
    change_state(door, Device.State.SUSPENDED, now)
    Profile.objects.update(key_kinds=["P-384"], extended_key_usages=[ExtendedKeyUsage.SERVER_AUTH])
    Issuer.objects.update(state=Issuer.State.RETIRED)
    look = by_hand.preview(DOOR, asked("gate-1"), now)
    assert set(codes(look)) == {
        "device_inactive",
        "key_refused",
        "name_mismatch",
        "san_missing",
        "issuer_inactive",
    }


def test_an_issuer_below_a_compromised_root_is_refused(door, now):
    Issuer.objects.filter(parent=None).update(state=Issuer.State.COMPROMISED)
    assert codes(by_hand.preview(DOOR, asked(), now)) == ["issuer_inactive"]
    assert codes(by_hand.preview(newcomer("gate-1"), asked("gate-1"), now)) == ["issuer_inactive"]
    with pytest.raises(by_hand.issuance.IssuerInactive):
        by_hand.issue(DOOR, asked(), ADA, now)


def test_a_key_of_another_device_and_one_that_is_compromised_are_refused(door, now):
    gate = Gadget("gate-1")
    issued, _ = by_hand.issue(newcomer("gate-1"), csr.verify(gate.csr), ADA, now)
    look = by_hand.preview(DOOR, asked(key=gate.key), now)
    assert codes(look) == ["key_in_use"]
    look = by_hand.preview(newcomer("gate-2"), asked("gate-2", key=gate.key), now)
    assert codes(look) == ["key_in_use"], "also for a device that is not there yet"
    revocation.revoke([issued.certificate], Revocation.Reason.KEY_COMPROMISE, TESTER, now)
    assert codes(by_hand.preview(DOOR, asked(key=gate.key), now)) == ["key_compromised"]


def test_a_listeners_key_is_refused_for_a_new_device(ca, now):
    """Listeners' certificates have no device, and neither has one that is not registered yet."""
    listener = Certificate.objects.filter(device=None).first()
    assert listener is not None
    with pytest.raises(by_hand.issuance.KeyInUse):
        by_hand.issuance.require_own_key(None, listener.spki_sha256)


def test_an_expired_issuer_is_said(door, now):
    later = Issuer.objects.get(parent__isnull=False).not_after + timedelta(seconds=1)
    look = by_hand.preview(DOOR, asked(), later)
    assert codes(look) == ["issuer_expired"]
    assert look.validity is None


def test_a_certificate_that_its_issuer_cuts_short_is_said(door, now):
    end = Issuer.objects.get(parent__isnull=False).not_after
    assert by_hand.preview(DOOR, asked(), end - timedelta(days=3)).is_cut_short
    assert not by_hand.preview(DOOR, asked(), now).is_cut_short


def test_what_stands_and_what_waits_for_this_key_is_shown(door, now):
    gadget = Gadget("door-1")
    set_policy(Profile.Policy.APPROVAL)
    waiting = gadget.enroll(None, now)
    certificate = issue(door, now)
    look = by_hand.preview(DOOR, csr.verify(gadget.csr), now)
    assert look.standing == (certificate,)
    assert look.waiting == waiting


def test_a_record_that_is_malformed_is_a_refusal_and_no_crash(door, now):
    Device.objects.update(sans=["nonsense"])
    assert codes(by_hand.preview(DOOR, asked(), now)) == ["name_refused"]


NEWCOMERS = {
    "a name that cannot be one": ({"name": "-"}, "name_refused"),
    "a name that is taken": ({"name": "door-1"}, "device_exists"),
    "a SAN that is none": ({"sans": ["nonsense"]}, "name_refused"),
    "a subject that is none": ({"subject": {"C": "Germany"}}, "name_refused"),
}


@pytest.mark.parametrize(("record", "code"), NEWCOMERS.values(), ids=NEWCOMERS)
def test_a_new_device_that_cannot_be_is_refused_and_not_made(door, now, record, code):
    holder = newcomer(**record)
    before = everything()
    assert code in codes(by_hand.preview(holder, asked(None), now))
    with pytest.raises(by_hand.Refusal) as refused:
        by_hand.issue(holder, asked(None), ADA, now)
    assert refused.value.code == code
    assert everything() == before


def test_an_unknown_device_is_said(ca, now):
    with pytest.raises(devices.DeviceUnknown):
        by_hand.preview(Holder("nobody"), asked("nobody"), now)


@pytest.mark.parametrize("spec", ["P-521", "", "RSA-1024"])
def test_a_kind_of_key_that_is_not_made_is_refused_and_the_usual_one_is_the_profiles(door, now, spec):
    Profile.objects.update(key_kinds=["RSA"])
    look = by_hand.preview(DOOR, spec, now)
    assert codes(look) == ([] if spec == "" else ["key_refused"])
    assert look.key == (spec or "RSA-2048")


# --- The deed -------------------------------------------------------------------------------------


def test_who_issued_what_for_whom_is_on_record_and_no_request_is(door, now):
    issued, _ = by_hand.issue(DOOR, asked(), ADA, now)
    event = AuditEvent.objects.get(kind="certificate.issued", device=door)
    assert (event.actor, event.address, event.certificate) == (ADA.name, ADA.address, issued.certificate)
    assert not EnrollmentRequest.objects.exists()
    assert not AuditEvent.objects.filter(kind="certificate.key_made").exists()


def test_a_new_device_comes_with_its_certificate(ca, now):
    holder = newcomer(subject={"O": "Example"}, sans=["DNS:lamp.example"])
    issued, _ = by_hand.issue(holder, asked(None), ADA, now)
    device = Device.objects.get(name="lamp-1")
    assert issued.certificate.device == device
    assert issued.certificate.parsed.subject.rfc4514_string() == "CN=lamp-1,O=Example"
    assert issued.certificate.sans == ["DNS:lamp.example"]
    assert device.record.sans == tuple(map(by_hand.names.parse_san, holder.sans))
    assert AuditEvent.objects.get(kind="device.registered").actor == ADA.name


def test_a_new_device_is_not_registered_if_its_certificate_fails(ca, now):
    before = everything()
    for path in (ca / "keys").iterdir():
        path.unlink()
    by_hand.issuance.keystore.cache_clear()
    with pytest.raises(Exception, match="restore it from a backup"):
        by_hand.issue(newcomer(), asked("lamp-1"), ADA, now)
    assert everything() == before


def test_a_servers_certificate_is_for_servers(ca, now):
    holder = Holder("www.example", server_profile(), sans=["DNS:www.example", "IP:10.0.0.7"])
    issued, _ = by_hand.issue(holder, asked(None), ADA, now)
    parsed = issued.certificate.parsed
    usage = parsed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsage.SERVER_AUTH.oid]
    assert issued.certificate.sans == ["DNS:www.example", "IP:10.0.0.7"]


def test_what_changed_since_it_was_looked_at_is_looked_at_again(door, now):
    request = asked()
    look = by_hand.preview(DOOR, request, now)
    Profile.objects.update(lifetime_seconds=3600)
    before = everything()
    with pytest.raises(by_hand.Stale):
        by_hand.issue(DOOR, request, ADA, now, mark=look.mark)
    assert everything() == before
    again = by_hand.preview(DOOR, request, now)
    by_hand.issue(DOOR, request, ADA, now, mark=again.mark)


@pytest.mark.parametrize("mark", ["", "0" * 64, "nonsense"])
def test_what_nobody_looked_at_is_not_issued(door, now, mark):
    before = everything()
    with pytest.raises(by_hand.Stale):
        by_hand.issue(DOOR, asked(), ADA, now, mark=mark)
    with pytest.raises(by_hand.Stale):
        by_hand.issue_with_key(DOOR, "P-256", Container.MODERN, PASSWORD, ADA, now, mark=mark)
    assert everything() == before


@pytest.mark.parametrize("holder", [lambda: DOOR, newcomer], ids=["on record", "new"])
def test_the_button_pressed_twice_issues_once(door, now, holder):
    holder, request = holder(), asked(None)
    mark = by_hand.preview(holder, request, now).mark
    issued, _ = by_hand.issue(holder, request, ADA, now, mark=mark)
    before = everything()
    with pytest.raises(by_hand.IssuedBefore) as told:
        by_hand.issue(holder, request, ADA, now, mark=mark)
    assert told.value.certificate == issued.certificate
    assert everything() == before


@pytest.mark.parametrize("holder", [lambda: DOOR, newcomer], ids=["on record", "new"])
def test_the_button_pressed_twice_makes_one_key(door, now, holder):
    holder = holder()
    mark = by_hand.preview(holder, "P-256", now).mark
    issued, _ = by_hand.issue_with_key(holder, "P-256", Container.MODERN, PASSWORD, ADA, now, mark=mark)
    before = everything()
    with pytest.raises(by_hand.IssuedBefore) as told:
        by_hand.issue_with_key(holder, "P-256", Container.MODERN, PASSWORD, ADA, now, mark=mark)
    assert told.value.certificate == issued.certificate
    assert everything() == before


def test_a_certificate_for_another_key_since_is_no_second_press(door, now):
    request = asked()
    mark = by_hand.preview(DOOR, request, now).mark
    issue(door, now)  # it renewed meanwhile
    with pytest.raises(by_hand.Stale):
        by_hand.issue(DOOR, request, ADA, now, mark=mark)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("on_record", [True, False], ids=["on record", "new"])
@pytest.mark.parametrize("with_key", [True, False], ids=["made here", "a CSR"])
def test_of_presses_at_once_one_issues(ca, now, on_record, with_key):
    if on_record:
        registered("lamp-1", now)
    holder, request = (Holder("lamp-1") if on_record else newcomer()), asked("lamp-1")
    mark = by_hand.preview(holder, "P-256" if with_key else request, now).mark

    def press():
        if with_key:
            return by_hand.issue_with_key(holder, "P-256", Container.PEM, PASSWORD, ADA, now, mark=mark)[0]
        return by_hand.issue(holder, request, ADA, now, mark=mark)[0]

    outcomes = at_once(*[press] * 4)
    assert len(serials(outcomes)) == 1
    assert Certificate.objects.filter(device__name="lamp-1").count() == 1
    (certificate,) = Certificate.objects.filter(device__name="lamp-1")
    for outcome in outcomes:
        if isinstance(outcome, by_hand.Refusal):
            assert isinstance(outcome, by_hand.IssuedBefore)
            assert outcome.certificate == certificate


# --- A key that is made here ----------------------------------------------------------------------


@pytest.mark.parametrize("container", [Container.MODERN, Container.LEGACY])
@pytest.mark.parametrize("spec", ["P-256", "Ed25519", "RSA-2048"])
def test_the_file_holds_the_key_the_certificate_and_its_chain(door, now, container, spec):
    issued, file = by_hand.issue_with_key(DOOR, spec, container, PASSWORD, ADA, now)
    key, certificate, chain = pkcs12.load_key_and_certificates(file.content, PASSWORD.encode())
    assert certificate == issued.certificate.parsed
    assert chain == issued.chain
    assert pins.spki_sha256(key.public_key()) == issued.certificate.spki_sha256
    assert keys.describe(key.public_key()) == spec


def test_a_pem_file_holds_the_encrypted_key_the_certificate_and_its_chain(door, now):
    issued, file = by_hand.issue_with_key(DOOR, "P-256", Container.PEM, PASSWORD, ADA, now)
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in file.content
    assert (
        load_pem_private_key(file.content, PASSWORD.encode()).public_key()
        == issued.certificate.parsed.public_key()
    )
    assert x509.load_pem_x509_certificates(file.content) == [issued.certificate.parsed, *issued.chain]


def test_that_a_key_was_made_here_is_on_record_and_the_key_and_password_are_not(ca, door, now, caplog):
    caplog.set_level("DEBUG")
    _, file = by_hand.issue_with_key(DOOR, "P-256", Container.LEGACY, PASSWORD, ADA, now)
    key = pkcs12.load_key_and_certificates(file.content, PASSWORD.encode())[0]
    secret = f"{key.private_numbers().private_value:x}"
    event = AuditEvent.objects.get(kind="certificate.key_made")
    assert (event.actor, event.device) == (ADA.name, door)
    assert event.detail == {"name": "door-1", "key": "P-256", "container": "pkcs12-legacy"}
    kept = str(everything()) + caplog.text
    scalar = bytes.fromhex(secret.zfill(64))
    for path in ca.rglob("*"):
        if path.is_file():
            assert scalar not in path.read_bytes()
    for trace in (PASSWORD, secret, repr(scalar)[2:-1], file.content.hex()):
        assert trace not in kept


PASSWORDS = {
    "too short": "short",
    "empty": "",
    "too long": "x" * 65,
    "not ASCII": "pässwörter-sind-lang",
    "a control character": "password-with-\x07-bell",
}


@pytest.mark.parametrize("password", PASSWORDS.values(), ids=PASSWORDS)
def test_a_password_that_does_not_do_is_refused_and_is_not_repeated(door, now, password):
    before = everything()
    with pytest.raises(file_passwords.PasswordRefused) as refused:
        by_hand.issue_with_key(DOOR, "P-256", Container.MODERN, password, ADA, now)
    assert not password or password not in refused.value.detail
    assert everything() == before


def test_generated_passwords_are_good_and_each_is_another():
    made = {file_passwords.new() for _ in range(50)}
    assert len(made) == 50
    for password in made:
        assert file_passwords.check(password) == password
        assert len(password.replace("-", "")) == 20


def test_no_key_is_made_for_what_is_refused(door, now, monkeypatch):
    change_state(door, Device.State.RETIRED, now)
    monkeypatch.setattr(keys, "generate", lambda spec: pytest.fail("a key was made"))
    with pytest.raises(by_hand.issuance.DeviceInactive):
        by_hand.issue_with_key(DOOR, "RSA-4096", Container.MODERN, PASSWORD, ADA, now)
