"""Files in the console: on the pages of certificates, devices and issuers, for who may look, and no key."""

import base64
import plistlib
import re
from html import unescape
from io import StringIO

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12
from django.core.management import call_command

from pki.core import bundles, names
from pki.keystore import folder, keystore
from pki.models import Certificate, Device, Issuer
from pki.services.exporting.files import Form, Of
from pki.services.issuing import authorities
from tests.clients import run
from tests.console.browser import page
from tests.console.conftest import browser, staff
from tests.console.test_issuing import made, text
from tests.services.bundles_cast import the_issuing, the_root
from tests.services.cast import SECOND, TESTER, change_state, everything, issue, registered
from tests.services.moving_cast import OldCa

OF_CERTIFICATES = [form for form in Form if form.kind.of is Of.CERTIFICATE]
OF_TRUST = [form for form in Form if form.kind.of is Of.TRUST]
PASSWORD = "correct horse battery"


@pytest.fixture
def door(ca, now):
    return registered("door-1", now)


@pytest.fixture
def certificate(door, now):
    return issue(door, now)


def address(row, form):
    return page(row).replace("/change/", f"/download/{form}/")


def download(who, row, form):
    return who.client.get(address(row, form), secure=True)


def offered(who, row):
    """The forms that a page links to."""
    found = re.findall(rf'href="{address(row, "([a-z0-9-]+)")}" download', text(who.get(page(row))))
    return [Form(each) for each in found]


def may(*permissions):
    return browser(staff("mia", *permissions))


def test_each_page_offers_its_forms_and_each_of_them_is_a_file(ada, door, certificate):
    everywhere = {
        certificate: OF_CERTIFICATES,
        the_issuing(): OF_CERTIFICATES + OF_TRUST,
        the_root(): ["pem", "der", "cer", *OF_TRUST],
        door: OF_CERTIFICATES + OF_TRUST,
    }
    before = everything()
    for row, forms in everywhere.items():
        assert offered(ada, row) == forms
        for form in Form:
            answer = download(ada, row, form)
            is_there = form.kind.of in {Form(each).kind.of for each in forms}
            assert answer.status_code == (200 if is_there else 404), (row, form)
            if is_there:
                assert b"PRIVATE KEY" not in answer.content
                assert answer["Content-Disposition"].endswith(f'{form.kind.suffix}"')
                assert answer["Content-Type"] == form.kind.content_type
    assert everything() == before


def test_people_find_the_names_that_they_look_for(ada, door, certificate):
    shown = text(ada.get(page(door)))
    for words in (
        "For Windows (.cer)",
        "For Android (.crt)",
        "For Java (truststore)",
        "For iPhone, iPad and Mac (.mobileconfig)",
        "For Kubernetes (Secret)",
    ):
        assert words in shown
    assert f"manage.py export --serial {certificate.serial} --form pkcs12 --key door-1.key" in shown


EVIL = ["$(touch x)'; y", "`touch x`", '"; touch x #', "a\ntouch x\n", "../../door", "-rf", "door 1"]


@pytest.mark.parametrize("evil", EVIL)
def test_a_name_that_another_ca_gave_is_no_command_for_who_copies_it(ada, ca, now, tmp_path, evil):
    old = OldCa(tmp_path / "old", now)
    old.issue(evil, 7, line=False)
    certificates = ("--certs", f"{old.folder}/newcerts")
    call_command("import_ca", *old.words, *certificates, stdout=StringIO(), stderr=StringIO())
    certificate = Certificate.objects.get(serial="7")
    assert certificate.common_name == names.printable(evil)
    python = tmp_path / ".venv/bin/python"  # one that says its words, each in a line
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nfor word; do echo "$word"; done\n')
    python.chmod(0o755)
    for row in (certificate, certificate.device):
        shown = re.search(r'id="export"[^>]*>([^<]*)<', text(ada.get(page(row))))[1]
        done = run("sh", "-c", unescape(shown), cwd=tmp_path)
        words = done.stdout.splitlines()
        assert (done.returncode, done.stderr, len(words)) == (0, b"", 10), words
        assert words[:4] == [b"manage.py", b"export", b"--serial", b"7"]
        key, out = words[7], words[9]
        assert re.fullmatch(rb"\w[\w.-]*\.key", key)
        assert out == key.removesuffix(b".key") + b".p12"
        assert not (tmp_path / "x").exists()


def test_an_issuers_files_are_for_trusting_its_root(ada, ca, tmp_path):
    root = the_root().certificate
    (tmp_path / "ca.pem").write_bytes(download(ada, the_issuing(), "roots").content)
    assert x509.load_pem_x509_certificates((tmp_path / "ca.pem").read_bytes()) == [root]
    truststore = pkcs12.load_pkcs12(download(ada, the_issuing(), "truststore").content, None)
    assert [each.certificate for each in truststore.additional_certs] == [root]
    signed = download(ada, the_issuing(), "mobileconfig").content
    verify = ("openssl", "cms", "-verify", "-inform", "DER", "-purpose", "sslserver", "-CAfile", "ca.pem")
    done = run(*verify, cwd=tmp_path, stdin=signed)
    assert done.returncode == 0, done.stderr
    assert plistlib.loads(done.stdout)["PayloadType"] == "Configuration"


def test_what_is_offered_of_a_root_is_not_the_same_file_twice(ada, ca):
    files = [download(ada, the_root(), form) for form in offered(ada, the_root()) if form in OF_CERTIFICATES]
    assert len({(each.content, each["Content-Disposition"].rpartition(".")[2]) for each in files}) == len(
        files
    )


def test_windows_and_android_get_the_same_bytes_under_their_names(ada, ca):
    for row in (the_root(), the_issuing()):
        crt, cer = (download(ada, row, form) for form in ("root-crt", "root-cer"))
        assert crt.content == cer.content == bytes(the_root().certificate_der)
        assert crt["Content-Disposition"].endswith('-root.crt"')
        assert cer["Content-Disposition"].endswith('-root.cer"')


# --- Who may --------------------------------------------------------------------------------------


def test_who_may_not_look_gets_no_file_by_its_address_either(door, certificate, stranger, newcomer):
    for row in (door, certificate, the_issuing()):
        for form in Form:
            assert download(newcomer, row, form).status_code == 403
            assert download(stranger, row, form).status_code == 302


def test_who_sees_devices_and_no_certificates_gets_only_what_is_no_certificate(door, certificate):
    person = may("view_device")
    assert offered(person, door) == OF_TRUST
    for form in OF_CERTIFICATES + OF_TRUST:
        assert download(person, door, form).status_code == (403 if form in OF_CERTIFICATES else 200)
    for row in (certificate, the_issuing()):
        assert download(person, row, "pem").status_code == 403


def test_nothing_is_posted_to_a_file(ada, door, certificate):
    for row in (door, certificate, the_issuing()):
        assert ada.post(address(row, "pem")).status_code == 403


@pytest.mark.parametrize("form", ["pkcs12", "keystore", "exe", "pem-"])
def test_a_form_that_there_is_not_is_404(ada, door, certificate, form):
    for row in (door, certificate, the_issuing()):
        assert download(ada, row, form).status_code == 404


# --- What cannot be made --------------------------------------------------------------------------


def test_a_device_without_a_certificate_offers_none(ada, door):
    assert offered(ada, door) == OF_TRUST
    assert download(ada, door, "pem").status_code == 404
    assert "manage.py export" not in text(ada.get(page(door)))


def test_a_retired_devices_page_opens_as_before(ada, door, certificate, now):
    change_state(door, Device.State.RETIRED, now)
    assert ada.get(page(door)).status_code == 200


def test_nobody_is_offered_a_root_that_is_compromised_or_given_it_by_its_address(ada, door, certificate, now):
    authorities.change_state(the_root(), Issuer.State.COMPROMISED, TESTER, now + SECOND)
    for row in (the_root(), the_issuing()):
        assert not set(offered(ada, row)) & set(OF_TRUST)
        for form in OF_TRUST:
            answer = download(ada, row, form)
            assert (answer.status_code, answer["Location"]) == (302, page(row))
            assert "Nobody is to trust" in text(ada.get(page(row)))
    assert download(ada, door, "pem").status_code == 404
    assert download(ada, door, "roots").status_code == 302


def test_what_this_node_cannot_sign_is_said_on_the_page(ada, ca):
    for certificate in Certificate.objects.exclude(listener=""):
        (folder() / f"{certificate.key_reference.split(':')[1]}.pem").unlink()
    keystore.cache_clear()
    assert download(ada, the_root(), "mobileconfig").status_code == 302
    assert "no listener&#x27;s certificate" in text(ada.get(page(the_root())))


# --- With a key that is made here -----------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(bundles, "PKCS12_ROUNDS", 1000)
    monkeypatch.setattr(bundles, "LEGACY_ROUNDS", 1000)


def handed_over(ada, **filled):
    return made(ada, secret="own", password=PASSWORD, password_again=PASSWORD, **filled)[1]


@pytest.mark.parametrize(("above", "number"), [("none", 0), ("chain", 1), ("root", 2)])
def test_a_keystore_has_the_cas_that_are_asked_for(ada, door, quick, above, number):
    answer = handed_over(ada, container="keystore", above=above)
    opened = pkcs12.load_pkcs12(answer.content, PASSWORD.encode())
    assert opened.cert.certificate == Certificate.objects.get(device=door).parsed
    assert len(opened.additional_certs) == number


def test_an_iphone_gets_a_profile_with_its_identity(ada, door, quick):
    answer = handed_over(ada, container="mobileconfig")
    assert answer["Content-Disposition"] == 'attachment; filename="door-1.mobileconfig"'
    assert "no-store" in answer["Cache-Control"]
    done = run("openssl", "cms", "-verify", "-inform", "DER", "-noverify", stdin=answer.content)
    _, identity = plistlib.loads(done.stdout)["PayloadContent"]
    opened = pkcs12.load_pkcs12(identity["PayloadContent"], PASSWORD.encode())
    assert opened.cert.certificate == Certificate.objects.get(device=door).parsed


def test_kubernetes_gets_a_secret_with_an_open_key(ada, door):
    answer = handed_over(ada, container="kubernetes")
    key = base64.b64decode(re.search(r'tls\.key: "(.*)"', answer.content.decode())[1])
    certificate = Certificate.objects.get(device=door).parsed
    assert load_pem_private_key(key, None).public_key() == certificate.public_key()


def test_nothing_is_issued_for_a_profile_that_nobody_could_sign(ada, door):
    for certificate in Certificate.objects.exclude(listener=""):
        (folder() / f"{certificate.key_reference.split(':')[1]}.pem").unlink()
    keystore.cache_clear()
    answer = handed_over(ada, container="mobileconfig")
    assert "no listener&#x27;s certificate" in text(answer)
    assert not Certificate.objects.filter(device=door).exists()
