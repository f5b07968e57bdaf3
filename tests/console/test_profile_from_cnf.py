"""A profile from an OpenSSL .cnf: every line is told of, and the usual form is filled in."""

import re
from html import unescape
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from pki.models import Issuer, Profile
from pki.services.enrolling import enrollment
from pki.services.fleet import devices
from tests.clients import make_csr
from tests.console.browser import add, all_filled_in, changelist
from tests.console.conftest import browser, staff
from tests.core.cast import private_key
from tests.core.test_openssl_config import CA, REQ_EXT
from tests.services.cast import ADDRESS, TESTER, everything, token_for
from tests.shell.words import fails, prints


@pytest.fixture
def url(ca):
    return reverse("admin:pki_profile_from_cnf")


def goes_on(answer) -> str:
    return unescape(re.search(r'href="([^"]*/add/\?[^"]*)"', answer.content.decode())[1])


def test_the_list_leads_to_it(ada, url):
    assert url in ada.get(changelist(Profile)).content.decode()
    assert ada.get(url).status_code == 200


def test_each_line_is_shown_and_nothing_is_stored(ada, url):
    before = everything()
    shown = ada.post(url, text=REQ_EXT)
    assert "no-store" in shown["Cache-Control"]
    page = unescape(shown.content.decode())
    for line, words in (
        (3, "default_bits = 2048"),
        (14, "OU = IT Dept"),
        (26, "URI.1 = spiffe://example.com"),
    ):
        assert f"<td>{line}</td>" in page
        assert words in page
    assert everything() == before


def test_the_usual_form_is_filled_in_and_what_is_saved_is_what_was_shown(ada, url):
    form = ada.get(goes_on(ada.post(url, text=CA))).content.decode()
    sent = {**all_filled_in(form), "name": ["doors"]}
    assert ada.post(add(Profile), **sent).status_code == 302
    made = Profile.objects.get(name="doors")
    assert (made.lifetime.days, made.key_kinds, made.extended_key_usages) == (825, ["RSA"], ["clientAuth"])


def test_a_file_is_uploaded_instead(ada, url):
    shown = ada.post(url, text="", file=SimpleUploadedFile("openssl.cnf", REQ_EXT.encode()))
    assert "sans_from_request=DNS%2CIP%2Cemail%2CURI" in goes_on(shown)


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ({"text": ""}, "Paste the file, or choose it."),
        ({"text": "[req]\n.include /etc/passwd"}, "takes in another file"),
        ({"text": "hello"}, "Line 1 is neither"),
        ({"file": SimpleUploadedFile("a.cnf", b"\xff\xfe\x00")}, "not UTF-8"),
        ({"file": SimpleUploadedFile("a.cnf", b"#" * 70_000)}, "more than 64 KiB"),
    ],
    ids=["nothing", "an include", "no file of OpenSSL's", "no text", "too large"],
)
def test_what_cannot_be_read_is_said_and_leads_no_further(ada, url, sent, why):
    answer = ada.post(url, **sent)
    assert answer.status_code == 200
    page = unescape(answer.content.decode())
    assert why in page
    assert "/add/?" not in page


# The secret is "hunter" with something behind it, wherever a file may have it.
WITH_PASSWORDS = (
    """
output_password = hunter1
[req]
 Output_Password="hunter2"
req::input_password = \\
    hunter3 \\
    hunter4
attributes = more
[more]
challengePassword = hunter5
"""
    + REQ_EXT
)


@pytest.mark.parametrize("more", ["", "default_bits = many", "req::input_password = a$hunter6", "nonsense"])
def test_no_password_of_the_file_is_shown_or_kept_by_the_browser(ada, url, more):
    text = f"{WITH_PASSWORDS}\n[req]\n{more}\n"
    for sent in ({"text": text}, {"text": "", "file": SimpleUploadedFile("a.cnf", text.encode())}):
        answer = ada.post(url, **sent)
        assert "hunter" not in answer.content.decode()
        assert "no-store" in answer["Cache-Control"]
        assert "Output_Password= ***" in unescape(answer.content.decode())
    again = ada.post(url, text=text, file=SimpleUploadedFile("a.cnf", b"\xff"))
    assert "hunter" not in again.content.decode()


def test_a_line_after_a_password_keeps_its_number(ada, url):
    page = unescape(ada.post(url, text=WITH_PASSWORDS).content.decode())
    line = next(n for n, each in enumerate(WITH_PASSWORDS.split("\n"), 1) if each == "default_bits = 2048")
    assert re.search(rf"<td>{line}</td>\s*<td class=\"mono\">default_bits = 2048", page)


def test_who_may_not_add_profiles_does_not_get_here(ca, url):
    person = browser(staff("vera", "view_profile"))
    assert person.get(url).status_code == 403
    assert person.post(url, text=REQ_EXT).status_code == 403
    assert url not in person.get(changelist(Profile)).content.decode()


@pytest.mark.parametrize(
    "query",
    ["lifetime_seconds=x", "lifetime_seconds=99999999999999", "key_kinds=DSA", "key_kinds=", "issuer=x"],
)
def test_an_address_with_nonsense_in_it_shows_the_form_all_the_same(ada, ca, query):
    assert ada.get(f"{add(Profile)}?{query}").status_code == 200


# --- The shell ------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.cnf"
    path.write_text(REQ_EXT)
    return str(path)


def words(file: str) -> list[str]:
    issuer = Issuer.objects.filter(parent__isnull=False).get().name
    return ["import_profile", file, "--name", "doors", "--issuer", issuer]


def test_the_shell_tells_and_stores_the_same(ca, file):
    before = everything()
    told = prints(*words(file), "--dry-run")
    assert "line 3: default_bits = 2048: RSA keys of 2048 to 4096 bits." in told
    assert everything() == before
    stored = prints(*words(file))
    assert stored.splitlines()[:-1] == told.splitlines()[:-1]
    made = Profile.objects.get(name="doors")
    assert made.subject_from_request == ["C", "ST", "L", "O", "OU"]
    assert made.sans_from_request == ["DNS", "IP", "email", "URI"]
    assert made.rules.extended_key_usages == ("clientAuth",)


def test_a_device_of_a_profile_for_servers_cannot_name_itself_after_hatchery(ca, file, tmp_path, now):
    text = (tmp_path / "a.cnf").read_text()
    (tmp_path / "a.cnf").write_text(text.replace("clientAuth", "serverAuth, clientAuth"))
    told = prints(*words(file))
    assert "write DNS:localhost into the device's record" in told
    assert "so no CSR chooses them" in told
    made = Profile.objects.get(name="doors")
    assert made.extended_key_usages == ["serverAuth", "clientAuth"]
    assert made.sans_from_request == ["email", "URI"]
    device = devices.register("door-1", made, TESTER, now, sans=["DNS:door-1.example"])
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    asked = make_csr("door-1", key=private_key("RSA-2048"), sans=names)
    enrolled = enrollment.enroll(asked, token_for(device, now), ADDRESS, now)
    assert enrolled.certificate.sans == ["DNS:door-1.example"]


def test_the_shell_tells_no_password(ca, file):
    Path(file).write_text(WITH_PASSWORDS)
    told = prints(*words(file), "--dry-run")
    assert "Output_Password = ***" in told
    assert "hunter" not in told


def test_the_shell_refuses_what_cannot_be_stored(ca, file, tmp_path):
    issuer = words(file)[-1]
    assert "already exists" in fails("import_profile", file, "--name", "device", "--issuer", issuer)
    assert "There is no issuer 'Nobody'" in fails("import_profile", file, "--name", "a", "--issuer", "Nobody")
    assert "slug" in fails("import_profile", file, "--name", "a b", "--issuer", issuer)
    assert "cannot be read" in fails("import_profile", str(tmp_path), "--name", "a", "--issuer", issuer)
    assert set(Profile.objects.values_list("name", flat=True)) == {"device", "server"}
