"""Issuing by hand in the browser: asked, looked at, done once; and no key is ever shown or kept."""

import logging
import re

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from pki.keystore import keystore
from pki.models import AuditEvent, Certificate, Device, Issuer, Profile
from tests.clients import make_csr, run
from tests.console.browser import filled_in, page
from tests.console.conftest import browser, staff
from tests.services.cast import change_state, everything, issue, registered

PASSWORD = "a-long-enough-password"


@pytest.fixture
def door(ca, now):
    return registered("door-1", now)


def url(**query):
    return reverse("admin:pki_certificate_issue", query=query)


def issued_url(certificate):
    return reverse("admin:pki_certificate_issued", args=[certificate.pk])


def look(person, **filled):
    """Fill in the first step and press its button."""
    whom = filled.setdefault("whom", "record")
    first = filled_in(text(person.get(url(whom=whom))))
    return person.post(url(), **{**first, "source": "given", "do": "look", **filled})


def press(person, looked, do="issue", **filled):
    """Press a button of the preview."""
    return person.post(url(), **{**filled_in(text(looked)), "do": do, **filled})


def text(response):
    return response.content.decode()


def certificates_of(name):
    return Certificate.objects.filter(device__name=name)


# --- A CSR ----------------------------------------------------------------------------------------


def test_a_csr_is_looked_at_and_then_issued_and_that_is_on_record(ada, door):
    csr = make_csr("door-1", sans=[x509.DNSName("door.example")])
    before = everything()
    looked = look(ada, device="door-1", csr=csr.decode())
    assert looked.status_code == 200
    assert "DNS:door.example" in text(looked)
    assert "clientAuth" in text(looked)
    assert everything() == before, "looking changes nothing"

    done = press(ada, looked)
    certificate = certificates_of("door-1").get()
    assert (done.status_code, done["Location"]) == (302, issued_url(certificate))
    key = x509.load_pem_x509_csr(csr).public_key()
    assert certificate.parsed.public_key() == key
    event = AuditEvent.objects.get(kind="certificate.issued", device=door)
    assert (event.actor, event.address) == ("administrator:admin", "127.0.0.1")

    shown = text(ada.get(issued_url(certificate)))
    blocks = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", shown, re.DOTALL)
    assert x509.load_pem_x509_certificate(blocks[0].encode()) == certificate.parsed
    assert len(blocks) == 3, "with its chain, and alone"
    assert page(certificate) in shown


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_a_csr_is_uploaded_in_pem_and_in_der_and_survives_the_preview(ada, door, encoding):
    parsed = x509.load_pem_x509_csr(make_csr("door-1"))
    file = SimpleUploadedFile("my.csr", parsed.public_bytes(encoding))
    press(ada, look(ada, device="door-1", csr_file=file))
    assert certificates_of("door-1").get().parsed.public_key() == parsed.public_key()


def test_an_ed25519_csr_is_issued(ada, door):
    key = ed25519.Ed25519PrivateKey.generate()
    press(ada, look(ada, device="door-1", csr=make_csr("door-1", key=key).decode()))
    assert certificates_of("door-1").get().parsed.public_key() == key.public_key()


def private_key(**options):
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        options.get("encoding", Encoding.PEM), options.get("format", PrivateFormat.PKCS8), NoEncryption()
    )


WRONG = {
    "nothing": (lambda: b"", "Paste a CSR"),
    "no PEM": (lambda: b"hello", "not PEM"),
    "half a CSR": (lambda: make_csr("door-1")[:150], "cut short"),
    "two CSRs": (lambda: make_csr("door-1") * 2, "One CERTIFICATE REQUEST"),
    "too much": (lambda: make_csr("door-1") * 300, "at most"),
    "a key that is not certified": (
        lambda: make_csr("door-1", key=ec.generate_private_key(ec.SECP256K1())),
        "secp256k1",
    ),
    "a PEM key": (private_key, "private key"),
    "an old PEM key": (lambda: private_key(format=PrivateFormat.TraditionalOpenSSL), "private key"),
    "DER that is no CSR": (lambda: b"\x30\x03\x02\x01\x01", "PKCS#10"),
}


@pytest.mark.parametrize("uploaded", [True, False], ids=["uploaded", "pasted"])
@pytest.mark.parametrize(("data", "named"), WRONG.values(), ids=WRONG)
def test_what_is_no_csr_is_said_at_its_field_and_the_form_stays_filled_in(ada, door, data, named, uploaded):
    data, before = data(), everything()
    sent = {"csr_file": SimpleUploadedFile("my.csr", data)} if uploaded else {"csr": data.decode("latin-1")}
    again = look(ada, device="door-1", **sent)
    assert again.status_code == 200
    assert named in text(again)
    assert filled_in(text(again))["device"] == "door-1"
    assert everything() == before


def test_a_private_key_is_never_shown_again_nor_logged(ada, door, caplog):
    caplog.set_level(logging.DEBUG)
    pem = private_key().decode()
    secret = pem.splitlines()[1]
    for sent in ({"csr": pem}, {"device": pem}, {"whom": "device", "sans": pem, "name": "lamp-1"}):
        for do in ("look", "issue", "change"):
            answer = look(ada, **{"device": "door-1", "csr": make_csr("door-1").decode(), **sent, "do": do})
            assert secret not in text(answer)
            assert do == "change" or "private key" in text(answer)
    der = private_key(encoding=Encoding.DER)
    answer = look(ada, device="door-1", csr_file=SimpleUploadedFile("my.csr", der))
    assert "private key" in text(answer)
    assert secret not in caplog.text


def test_a_device_that_is_not_there_is_said_with_those_that_begin_so(ada, door):
    again = look(ada, device="door", csr=make_csr("door-1").decode())
    assert "Did you mean door-1?" in text(again)


def test_all_that_is_refused_is_shown_at_once_with_what_to_do_and_nothing_to_press(ada, door, now):
    change_state(door, Device.State.SUSPENDED, now)
    Profile.objects.update(key_kinds=["RSA"])
    Issuer.objects.update(state=Issuer.State.RETIRED)
    looked = look(ada, device="door-1", csr=make_csr("gate-1").decode())
    shown = text(looked)
    for words in ("suspended", "Resume it", "allows RSA", "for &#x27;gate-1&#x27;", "issuer of this profile"):
        assert words in shown, words
    assert 'value="issue"' not in shown
    before = everything()
    assert "suspended" in text(press(ada, looked)), "also when it is pressed anyway"
    assert everything() == before


def test_what_is_left_out_is_said_in_sentences(ada, door):
    subject = [(x509.NameOID.ORGANIZATION_NAME, "Somebody"), (x509.NameOID.EMAIL_ADDRESS, "a@b.example")]
    sans = [x509.DNSName("door.example"), x509.RegisteredID(x509.ObjectIdentifier("1.2.3"))]
    shown = text(look(ada, device="door-1", csr=make_csr("door-1", subject=subject, sans=sans).decode()))
    for words in ("O in the subject", "The SAN DNS:door.example", "RegisteredID", "1.2.840.113549.1.9.1"):
        assert words in shown, words


def test_what_a_csr_says_is_escaped(ada, door):
    subject = [(x509.NameOID.ORGANIZATION_NAME, "<script>alert(1)</script>")]
    for name in ("door-1", "<script>alert(2)</script>"):
        shown = text(look(ada, device="door-1", csr=make_csr(name, subject=subject).decode()))
        assert "alert(1)" in shown
        assert "<script>alert" not in shown


# --- New devices and servers ----------------------------------------------------------------------


def test_a_new_device_is_registered_with_its_certificate(ada, ca):
    profile = Profile.objects.get(name="device")
    looked = look(
        ada,
        whom="device",
        name="lamp-1",
        profile=profile.pk,
        sans="DNS:lamp.example\n\nIP:10.0.0.7\n",
        O="Example",
        C="DE",
        csr=make_csr(None).decode(),
    )
    assert not Device.objects.exists()
    press(ada, looked)
    certificate = certificates_of("lamp-1").get()
    assert certificate.parsed.subject.rfc4514_string() == "CN=lamp-1,O=Example,C=DE"
    assert certificate.sans == ["DNS:lamp.example", "IP:10.0.0.7"]
    assert AuditEvent.objects.get(kind="device.registered").actor == "administrator:admin"


def test_a_new_server_is_asked_for_its_sans_and_offered_the_profiles_for_servers(ada, ca):
    asked = ada.get(url(whom="server"))
    offered = [str(label) for value, label in asked.context["form"].fields["profile"].choices if value]
    assert offered == ["server"]
    assert filled_in(text(asked))["profile"] == str(Profile.objects.get(name="server").pk)
    sans = "www.example\n10.0.0.7\n2001:db8::7\nURI:urn:www"
    press(ada, look(ada, whom="server", sans=sans, csr=make_csr(None).decode()))
    certificate = certificates_of("www.example").get()
    assert certificate.sans == ["DNS:www.example", "IP:10.0.0.7", "IP:2001:db8::7", "URI:urn:www"]
    usage = certificate.parsed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [each.dotted_string for each in usage] == ["1.3.6.1.5.5.7.3.1"]


NEW = {
    "no SAN for a server": ({"whom": "server", "sans": ""}, "required"),
    "a SAN that is none": ({"whom": "device", "sans": "DNS:a.example\nnonsense"}, "Line 2"),
    "a name that is none": ({"whom": "device", "name": "-"}, "A device name has"),
    "a wildcard for a name": ({"whom": "server", "sans": "*.example.com", "name": ""}, "cannot be its name"),
    "a country of three letters": ({"whom": "device", "C": "DEU"}, "at most 2"),
    "a country in small letters": ({"whom": "device", "C": "de"}, "capital letters"),
    "no profile": ({"whom": "device", "profile": ""}, "required"),
    "a profile that is not there": ({"whom": "device", "profile": "99"}, "valid choice"),
    "a device's profile for a server": ({"whom": "server", "profile": "1"}, "valid choice"),
    "a NUL": ({"whom": "device", "name": "a\0b"}, "Null characters"),
}


@pytest.mark.parametrize(("filled", "named"), NEW.values(), ids=NEW)
def test_a_new_device_with_a_mistake_is_asked_for_again(ada, ca, filled, named):
    before = everything()
    profile = Profile.objects.get(name="server" if filled["whom"] == "server" else "device")
    base = {"name": "lamp-1", "sans": "DNS:a.example", "profile": profile.pk, "csr": make_csr(None).decode()}
    if filled.get("profile") == "1":
        filled = {**filled, "profile": Profile.objects.get(name="device").pk}
    again = look(ada, **{**base, **filled})
    assert named in text(again)
    assert filled_in(text(again))["csr"].strip() == base["csr"].strip()
    assert everything() == before


def test_a_name_that_is_taken_is_said(ada, door):
    looked = look(ada, whom="device", name="door-1", profile=door.profile.pk, csr=make_csr(None).decode())
    assert "already" in text(looked)
    assert 'value="issue"' not in text(looked)


# --- Steps ----------------------------------------------------------------------------------------


def test_change_something_brings_the_form_back_filled_in(ada, door):
    csr = make_csr("door-1").decode()
    again = press(ada, look(ada, device="door-1", csr=csr), do="change")
    filled = filled_in(text(again))
    assert (filled["device"], filled["csr"].strip()) == ("door-1", csr.strip())
    assert press(ada, again, do="look").context["look"].name == "door-1"


def test_issue_without_a_look_is_a_look(ada, door):
    before = everything()
    for mark in ({}, {"mark": "nonsense"}):
        answer = look(ada, device="door-1", csr=make_csr("door-1").decode(), do="issue", **mark)
        assert "look again" in text(answer)
        assert everything() == before


def test_nothing_is_issued_by_a_get(ada, door):
    csr = make_csr("door-1").decode()
    filled = filled_in(text(look(ada, device="door-1", csr=csr)))
    before = everything()
    answer = ada.get(url(), **{**filled, "do": "issue"})
    assert (answer.status_code, everything()) == (200, before)


def test_pressed_twice_it_issues_once_and_leads_to_what_was_issued(ada, door):
    looked = look(ada, device="door-1", csr=make_csr("door-1").decode())
    press(ada, looked)
    before = everything()
    again = press(ada, looked)
    certificate = certificates_of("door-1").get()
    assert again["Location"].startswith(issued_url(certificate))
    assert "already" in text(ada.get(again["Location"]))
    assert everything() == before


def test_what_changed_meanwhile_is_shown_before_it_is_issued(ada, door):
    looked = look(ada, device="door-1", csr=make_csr("door-1").decode())
    Profile.objects.update(lifetime_seconds=3600)
    again = press(ada, looked)
    assert "look again" in text(again)
    assert "1 hour" in text(again)
    assert not certificates_of("door-1").exists()
    press(ada, again)
    assert certificates_of("door-1").exists()


def test_a_certificate_that_this_key_has_already_is_said(ada, door):
    csr = make_csr("door-1").decode()
    press(ada, look(ada, device="door-1", csr=csr))
    assert "This very key" in text(look(ada, device="door-1", csr=csr))


def test_a_key_file_that_is_gone_is_said_and_the_form_is_not_lost(ada, door, ca):
    looked = look(ada, device="door-1", csr=make_csr("door-1").decode())
    for path in (ca / "keys").iterdir():
        path.unlink()
    keystore.cache_clear()
    before = everything()
    again = press(ada, looked)
    assert "restore it from a backup" in text(again)
    assert filled_in(text(again))["device"] == "door-1"
    assert everything() == before


# --- A key that is made here ----------------------------------------------------------------------


def made(ada, **handover):
    looked = look(ada, device="door-1", source="made")
    return looked, press(ada, looked, **handover)


def test_a_key_made_here_leaves_in_the_answer_alone(ada, door, ca, caplog):
    caplog.set_level(logging.DEBUG)
    looked, answer = made(ada)
    password = filled_in(text(looked))["generated"]
    assert password in looked.context["password"]
    assert text(looked).count(password) == 2, "shown, and sent along"
    for page_with_secret in (looked, answer):
        assert "no-store" in page_with_secret["Cache-Control"]
    assert answer["Content-Disposition"] == 'attachment; filename="door-1.p12"'
    assert answer["Content-Type"] == "application/x-pkcs12"
    key, certificate, chain = pkcs12.load_key_and_certificates(answer.content, password.encode())
    assert certificate == certificates_of("door-1").get().parsed
    assert key.public_key() == certificate.public_key()
    assert chain

    scalar = key.private_numbers().private_value.to_bytes(32, "big")
    kept = str(everything()) + str(ada.client.session.items()) + caplog.text
    for trace in (password, scalar.hex(), answer.content.hex(), str(int.from_bytes(scalar, "big"))):
        assert trace not in kept
    for path in ca.rglob("*"):
        assert not path.is_file() or scalar not in path.read_bytes()
    event = AuditEvent.objects.get(kind="certificate.key_made")
    assert (event.actor, event.device) == ("administrator:admin", door)


def openssl(answer, tmp_path, password, *options):
    (tmp_path / "made.p12").write_bytes(answer.content)
    return run("openssl", "pkcs12", "-in", tmp_path / "made.p12", "-passin", f"pass:{password}", *options)


def test_openssl_opens_the_modern_file(ada, door, tmp_path):
    _, answer = made(ada, secret="own", password=PASSWORD, password_again=PASSWORD)
    done = openssl(answer, tmp_path, PASSWORD, "-info", "-noenc")
    assert done.returncode == 0, done.stderr
    assert b"AES-256-CBC" in done.stderr
    assert b"BEGIN PRIVATE KEY" in done.stdout


def test_openssl_opens_the_legacy_file_as_one(ada, door, tmp_path):
    _, answer = made(ada, container="pkcs12-legacy", secret="own", password=PASSWORD, password_again=PASSWORD)
    done = openssl(answer, tmp_path, PASSWORD, "-legacy", "-info", "-noenc")
    assert done.returncode == 0, done.stderr
    assert b"MAC: sha1" in done.stderr
    assert done.stderr.count(b"pbeWithSHA1And3-KeyTripleDES-CBC") == 2
    assert openssl(answer, tmp_path, "another", "-legacy", "-noout").returncode != 0


def test_a_pem_file_is_made_for_servers(ada, door, tmp_path):
    _, answer = made(ada, container="pem", secret="own", password=PASSWORD, password_again=PASSWORD)
    assert answer["Content-Disposition"] == 'attachment; filename="door-1.pem"'
    opened = run("openssl", "pkey", "-passin", f"pass:{PASSWORD}", "-pubout", stdin=answer.content)
    cert = run("openssl", "x509", "-pubkey", "-noout", stdin=answer.content)
    assert opened.stdout == cert.stdout != b""


HANDOVERS = {
    "too short": ({"secret": "own", "password": "short", "password_again": "short"}, "12 to 64"),
    "not the same": ({"secret": "own", "password": PASSWORD, "password_again": "another"}, "not the same"),
    "none": ({"secret": "own", "password": "", "password_again": ""}, "12 to 64"),
    "not ASCII": ({"secret": "own", "password": "ä" * 12, "password_again": "ä" * 12}, "ASCII"),
    "no container": ({"container": "jks"}, "valid choice"),
    "a generated one that was cut": ({"generated": "abc"}, "look again"),
    "none that was generated": ({"generated": ""}, "look again"),
}


@pytest.mark.parametrize(("filled", "named"), HANDOVERS.values(), ids=HANDOVERS)
def test_a_handover_with_a_mistake_is_asked_for_again_without_the_password(ada, door, filled, named):
    before = everything()
    looked, again = made(ada, **filled)
    assert named in text(again)
    assert PASSWORD not in text(again)
    if "generated" not in filled:
        assert filled_in(text(again))["generated"] == filled_in(text(looked))["generated"], (
            "it may be written down already"
        )
    assert everything() == before


def test_made_twice_it_is_made_once_and_what_to_do_is_said(ada, door):
    looked, first = made(ada)
    assert first["Content-Disposition"]
    before = everything()
    again = press(ada, looked)
    shown = text(ada.get(again["Location"]))
    assert "revoke this certificate and make another" in shown
    assert everything() == before


def test_the_file_of_a_name_with_signs_has_a_name_for_any_system(ada, ca, now):
    registered("urn:dev@lab+1", now)
    looked = look(ada, device="urn:dev@lab+1", source="made")
    assert 'filename="urn_dev_lab_1.p12"' in press(ada, looked)["Content-Disposition"]


def test_a_kind_of_key_that_the_profile_does_not_allow_is_refused(ada, door):
    Profile.objects.update(key_kinds=["P-256"])
    assert "this profile allows P-256" in text(look(ada, device="door-1", source="made", spec="RSA-2048"))


# --- Who may --------------------------------------------------------------------------------------

ROLES = {"Viewer": False, "Auditor": False, "Operator": True, "CA administrator": True}


def member(role):
    user = User.objects.create_user(role.replace(" ", "-"), is_staff=True)
    user.groups.set([Group.objects.get(name=role)])
    return browser(user)


@pytest.mark.parametrize(("role", "may"), ROLES.items(), ids=ROLES)
def test_a_role_issues_if_it_may_by_button_and_by_url(door, ada, role, may):
    person, csr = member(role), make_csr("door-1").decode()
    filled = filled_in(text(look(ada, device="door-1", csr=csr)))
    before = everything()
    statuses = [person.get(url(whom=whom)).status_code for whom in ("record", "device", "server")]
    assert statuses == [200 if may else 403] * 3
    answer = person.post(url(), **{**filled, "do": "issue"})
    assert answer.status_code == (302 if may else 403)
    assert (everything() != before) is may


def test_a_device_is_made_by_who_may_make_devices_only(ca, door):
    person = browser(staff("bob", "add_certificate", "view_certificate"))
    assert person.get(url()).status_code == 200
    assert "A new device" not in text(person.get(url()))
    profile, csr = Profile.objects.get(name="device").pk, make_csr(None).decode()
    for whom in ("device", "server"):
        for do in ("look", "issue", "change"):
            answer = person.post(url(), whom=whom, name="lamp-1", profile=profile, csr=csr, do=do)
            assert answer.status_code == 403
    assert not Device.objects.filter(name="lamp-1").exists()


def test_newcomers_and_strangers_are_kept_out(newcomer, stranger, door, now):
    certificate = issue(door, now)
    assert newcomer.get(url()).status_code == 403
    assert newcomer.get(issued_url(certificate)).status_code == 403
    assert stranger.get(url())["Location"].startswith("/admin/login/")
    assert stranger.get(issued_url(certificate))["Location"].startswith("/admin/login/")


def test_a_page_of_somebody_else_issues_nothing(unprotected, ada, door):
    filled = filled_in(text(look(ada, device="door-1", csr=make_csr("door-1").decode())))
    before = everything()
    assert unprotected.post(url(), **{**filled, "do": "issue"}).status_code == 403
    assert everything() == before


def test_what_was_issued_is_shown_to_who_may_look_and_is_404_where_there_is_nothing(viewer, ada, door, now):
    certificate = issue(door, now)
    assert viewer.get(issued_url(certificate)).status_code == 200
    assert ada.get(reverse("admin:pki_certificate_issued", args=[999_999])).status_code == 404


# --- Cost -----------------------------------------------------------------------------------------


def test_the_pages_ask_a_bounded_number_of_queries(ada, door, now):
    csr = make_csr("door-1").decode()

    def cost(do):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            do()
        return len(queries)

    def walk():
        asked = cost(lambda: ada.get(url()))
        looked = cost(lambda: look(ada, device="door-1", csr=csr))
        return asked, looked

    few = walk()
    for _ in range(8):
        issue(door, now)
    many = walk()
    assert many == few
    assert max(few) < 30
