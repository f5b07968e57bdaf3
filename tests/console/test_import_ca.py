"""A CA is imported in the browser: by who may, with a recent login, and its key is seen nowhere."""

import logging
import re
from datetime import timedelta
from html import unescape

import pytest
import time_machine
from cryptography.hazmat.primitives.serialization import Encoding
from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from pki.models import Certificate, Device, Issuer, Profile, RevokedSerial
from pki.services.trusting import published_roots
from tests.console.browser import changelist
from tests.console.conftest import browser, staff
from tests.services.cast import TESTER, everything, issue, registered
from tests.services.moving_cast import PASSPHRASE, OldCa

URL = "/admin/pki/issuer/import/"


@pytest.fixture
def old(tmp_path, now):
    return OldCa(tmp_path / "old", now)


def upload(old: OldCa, *files: str, **more) -> dict:
    """What the form sends: fields → files of the CA's folder."""
    names = {"certificate": "ca.pem", "key": "ca.key", "index": "index.txt", "certificates": "all.pem"}
    sent = {each: SimpleUploadedFile(names[each], (old.folder / names[each]).read_bytes()) for each in files}
    return {**sent, "passphrase": PASSPHRASE, "name": "", "profile": "", **more}


def test_the_list_leads_to_it_and_the_ca_is_imported_with_what_it_has_issued(ada, old):
    assert "import-ca" in ada.get(changelist(Issuer)).content.decode()
    old.issue("door-1", 1)
    old.issue("John Doe", 2, revoked="260102030405Z")
    copies = sorted((old.folder / "newcerts").iterdir())
    old.write("all.pem", b"".join(each.read_bytes() for each in copies))
    assert ada.get(URL).status_code == 200
    done = unescape(
        ada.post(URL, **upload(old, "certificate", "key", "index", "certificates")).content.decode()
    )
    assert "2 certificates of 2 new devices; 1 revoked" in done
    assert "the device is called John-Doe" in done
    issuer = Issuer.objects.get(name="Example Root CA")
    assert Certificate.objects.filter(issuer=issuer).count() == 2
    again = ada.post(URL, **upload(old, "certificate", "index", "certificates")).content.decode()
    assert "0 certificates of 0 new devices" in again


def steps(answer) -> dict[str, str]:
    """What comes next: title → address."""
    page = answer.content.decode()
    return {
        unescape(title): url
        for url, title in re.findall(r'<li><a href="([^"]+)">([^<]+)</a>: ', page[page.index("comes next") :])
    }


def test_what_comes_next_is_said_and_each_step_leads_to_its_page(ada, old):
    old.issue("door-1", 1)
    old.write("all.pem", (old.folder / "newcerts" / "01.pem").read_bytes())
    done = ada.post(URL, **upload(old, "certificate", "key", "certificates"))
    assert list(steps(done)) == [
        "Look at the profile example-root-ca",
        "Publish Example Root CA",
        "Give the profile server an issuer below Example Root CA",
        "Make a CA below it",
    ]
    assert "live 30 days" in done.content.decode()
    assert [ada.get(url).status_code for url in steps(done).values()] == [200] * 4
    root = Issuer.objects.get(name="Example Root CA")
    published_roots.publish(root, TESTER, timezone.now())
    Profile.objects.filter(name="server").update(issuer=root)
    again = ada.post(URL, **upload(old, "certificate", "certificates"))
    assert list(steps(again)) == ["Look at the profile example-root-ca", "Make a CA below it"]


def test_a_ca_alone_wants_a_profile_next_and_who_may_not_take_a_step_gets_no_link(ca, old):
    done = browser(staff("vera", "add_issuer")).post(URL, **upload(old, "certificate", "key"))
    assert "Make a profile that names it: it signs for nobody before." in done.content.decode()
    assert list(steps(done)) == ["Make a CA below it"]


def test_without_an_index_it_is_said_that_revocations_are_not_known(ada, old):
    old.issue("door-1", 1, revoked="260102030405Z")
    assert "names none of it" in unescape(ada.get(URL).content.decode())
    assert "No index came with it" in ada.post(URL, **upload(old, "certificate", "key")).content.decode()
    assert (
        "No index came with it" not in ada.post(URL, **upload(old, "certificate", "index")).content.decode()
    )


REFUSED = {
    "nothing": ((), {}, "Choose the CA"),
    "no key": (("certificate",), {}, "Choose the CA's key too."),
    "a wrong passphrase": (("certificate", "key"), {"passphrase": "wrong"}, "does not open with this"),
    "no passphrase": (("certificate", "key"), {"passphrase": ""}, "give its passphrase"),
    "a name that is taken": (("certificate", "key"), {"name": "taken"}, "choose another name"),
    "no profile's name": (("certificate", "key"), {"profile": "a b"}, "slug"),
}


@pytest.mark.parametrize(("files", "more", "why"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_is_said_and_nothing_is_stored(ada, old, files, more, why):
    if more.get("name"):
        more = {"name": Issuer.objects.first().name}
    before = everything()
    answer = ada.post(URL, **upload(old, *files, **more))
    assert why in unescape(answer.content.decode())
    assert everything() == before


def test_more_than_a_megabyte_is_for_the_shell(ada, old):
    sent = {**upload(old, "certificate", "key"), "index": SimpleUploadedFile("index.txt", b"x" * 1_000_000)}
    assert "use manage.py import_ca" in ada.post(URL, **sent).content.decode()


def test_key_and_passphrase_are_on_no_page_and_no_disk_and_in_no_log(ada, old, ca, caplog):
    caplog.set_level(logging.DEBUG)
    wrong = ada.post(URL, **upload(old, "certificate", "key", name=Issuer.objects.first().name))
    done = ada.post(URL, **upload(old, "certificate", "key"))
    assert Issuer.objects.filter(name="Example Root CA").exists()
    assert all("no-store" in each["Cache-Control"] for each in (wrong, done))
    bare = b"".join(old.pem(None).splitlines()[1:-1])
    for path in (each for each in ca.rglob("*") if each.is_file() and old.folder not in each.parents):
        assert PASSPHRASE.encode() not in path.read_bytes(), path
        assert bare[:60] not in path.read_bytes().replace(b"\n", b""), path
    assert PASSPHRASE not in "".join(ada.pages) + caplog.text


def test_uploads_stay_in_memory(ada, old, monkeypatch):
    def refuses(*_, **__):
        raise AssertionError("a file was written")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", refuses)
    monkeypatch.setattr("django.core.files.uploadedfile.tempfile.NamedTemporaryFile", refuses)
    monkeypatch.setattr(settings, "FILE_UPLOAD_MAX_MEMORY_SIZE", 1)
    ada.post(URL, **upload(old, "certificate", "key"))
    assert Issuer.objects.filter(name="Example Root CA").exists()


def test_an_old_login_is_asked_for_the_password(ca, old, now):
    with time_machine.travel(now, tick=False) as clock:
        ada = browser(User.objects.get(username="admin"))
        clock.shift(timedelta(seconds=settings.PORTAL_RECENT_LOGIN_SECONDS + 1))
        assert 'name="password_again"' in ada.get(URL).content.decode()
        ada.post(URL, **upload(old, "certificate", "key"))
        assert not Issuer.objects.filter(name="Example Root CA").exists()
        ada.post(URL, **upload(old, "certificate", "key", password_again="a-password"))
        assert Issuer.objects.filter(name="Example Root CA").exists()


def test_who_may_not_make_issuers_imports_none(ca, old):
    person = browser(staff("vera", "view_issuer", "change_issuer"))
    assert person.get(URL).status_code == 403
    assert person.post(URL, **upload(old, "certificate", "key")).status_code == 403
    assert "import-ca" not in person.get(changelist(Issuer)).content.decode()
    assert not Device.objects.exists()


@pytest.mark.parametrize("missing", ["add_device", "add_profile", "add_revocation", "change_issuer"])
@pytest.mark.parametrize("file", ["index", "certificates"])
def test_who_may_not_do_all_that_it_does_brings_the_ca_alone(file, missing, ca, old):
    old.issue("door-1", 1, revoked="260102030405Z")
    old.write("all.pem", (old.folder / "newcerts" / "01.pem").read_bytes())
    others = {"add_device", "add_profile", "add_revocation", "change_issuer"} - {missing}
    person = browser(staff("vera", "view_issuer", "add_issuer", *others))
    before = everything()
    assert "you may not do all of that" in person.post(URL, **upload(old, "certificate", "key", file)).text
    assert everything() == before
    person.post(URL, **upload(old, "certificate", "key"))
    assert Issuer.objects.filter(name="Example Root CA").exists()
    person.post(URL, **upload(old, "certificate", file))
    assert not Certificate.objects.filter(issuer__name="Example Root CA").exists()
    assert not RevokedSerial.objects.exists()


def test_an_index_revokes_nothing_of_an_issuer_that_was_made_here(ada, old, now):
    door = issue(registered("door-1", now), now)
    old.write("ca.pem", door.issuer.certificate.public_bytes(Encoding.PEM))
    line = (
        f"R\t{door.not_after:%y%m%d%H%M%SZ}\t260102030405Z\t{int(door.serial, 16):X}\tunknown\t/CN=door-1\n"
    )
    old.write("index.txt", line.encode())
    before = everything()
    refused = unescape(ada.post(URL, **upload(old, "certificate", "index")).content.decode())
    assert f"{door.issuer} was made here, not imported" in refused
    assert everything() == before


def test_a_page_of_somebody_else_imports_nothing(ca, old):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="admin"))
    assert strict.post(URL, upload(old, "certificate", "key"), secure=True).status_code == 403
    assert not Issuer.objects.filter(name="Example Root CA").exists()
