"""Registering many in the browser: a preview with the errors per line, then all or none, tokens once."""

import json
import re

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError, ProgrammingError
from django.test import Client
from django.urls import reverse

from pki.models import Device, EnrollmentToken
from pki.services.fleet import devices, rosters
from tests.console.browser import changelist
from tests.console.conftest import browser, staff
from tests.console.test_deeds import events
from tests.services.cast import Gadget, everything, registered


@pytest.fixture
def url(ca):
    return reverse("admin:pki_device_register_many")


def fields(rows="", **more):
    return {"rows": rows, "profile": str(devices.default_profile().pk), "hours": "", **more}


def preview(person, url, rows="", **more):
    return person.post(url, **fields(rows, preview="yes", **more))


def seal(previewed):
    return re.search(r'name="register" value="([0-9a-f]{64})"', previewed.content.decode())[1]


def register(person, url, rows, **more):
    """Preview, then press the button that registers."""
    sealed = seal(preview(person, url, rows, **more))
    return person.post(url, **fields(rows, register=sealed, **more))


def test_the_list_leads_to_it_and_it_answers(ada, url):
    assert url in ada.get(changelist(Device)).content.decode()
    assert url == "/admin/pki/device/register-many/"
    assert ada.get(url).status_code == 200


def test_a_preview_registers_nothing_and_the_button_all(ada, url):
    before = everything()
    shown = preview(ada, url, "door-1\ndoor-2")
    assert [new.name for new in shown.context["new"]] == ["door-1", "door-2"]
    assert everything() == before
    done = ada.post(url, **fields("door-1\r\ndoor-2", register=seal(shown)))
    assert "Registered 2 devices" in done.content.decode()
    assert {event.device.name for event in events("device.registered")} == {"door-1", "door-2"}


def test_a_file_larger_than_the_console_takes_is_told_the_limit_and_not_that_cookies_are_off(ada, url):
    most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="admin"))
    for who in (ada.client, strict):
        file = SimpleUploadedFile("devices.csv", b"x" * most)
        answer = who.post(url, {**fields(preview="yes"), "file": file}, secure=True)
        assert answer.status_code == 413
        assert f"At most {most:,} bytes" in answer.content.decode()
        assert "cookies" not in answer.content.decode()


def test_a_bad_line_is_shown_with_what_was_typed_and_no_button(ada, url):
    rows = 'name,labels\ndoor-1,\n"<script>alert(1)</script>",x'
    html = preview(ada, url, rows).content.decode()
    assert "register" not in re.findall(r'<button[^>]*name="(\w+)"', html)
    assert "1 to 64 characters" in html
    assert "&lt;script&gt;alert(1)" in html
    assert "<script>alert(1)" not in html
    assert "door-1," in html


@pytest.mark.parametrize("rows", ["", "  ", '"a', "name,profile\n", "x\0y"])
def test_what_cannot_be_read_is_told_at_the_field_and_kept(ada, url, rows):
    before = everything()
    shown = preview(ada, url, rows)
    assert shown.status_code == 200
    assert shown.context["form"].errors
    assert everything() == before


FILES = {
    "UTF-8": b"name;labels\ndoor-1;beta\n",
    "UTF-8 with a byte order mark": "name;labels\ndoor-1;beta\n".encode("utf-8-sig"),
    "tabs and line ends of DOS": b"name\tlabels\r\ndoor-1\tbeta\r\n",
}


def upload(data):
    return SimpleUploadedFile("devices.csv", data, "text/csv")


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_a_file_is_previewed_and_its_text_is_registered(ada, url, data):
    shown = preview(ada, url, "overruled", file=upload(data))
    rows = shown.context["form"]["rows"].value()
    assert "overruled" not in rows
    ada.post(url, **fields(rows, register=seal(shown)))
    assert [label.name for label in Device.objects.get().labels.all()] == ["beta"]


WRONG_FILES = {
    "Latin-1": "straße".encode("latin-1"),
    "UTF-16": "door-1".encode("utf-16"),
    "a workbook": b"PK\x03\x04\0\0",
    "empty": b"",
    "too large": b"d\n" * 1_000_000,
}


@pytest.mark.parametrize("data", WRONG_FILES.values(), ids=WRONG_FILES)
def test_a_file_that_is_none_is_told_and_what_was_typed_is_kept(ada, url, data):
    shown = preview(ada, url, "door-typed", file=upload(data))
    assert shown.status_code == 200
    assert shown.context["form"].errors
    assert "door-typed" in shown.content.decode()
    assert not Device.objects.exists()


CHANGED = {
    "another line": {"rows": "door-1\ndoor-2"},
    "a file": {"file": upload(b"door-3")},
    "tokens": {"hours": "24"},
    "no seal": {"register": "yes"},
}


@pytest.mark.parametrize("changed", CHANGED.values(), ids=CHANGED)
def test_only_what_was_previewed_is_registered(ada, url, changed):
    sealed = seal(preview(ada, url, "door-1"))
    again = ada.post(url, **fields(**{"rows": "door-1", "register": sealed, **changed}))
    assert seal(again)
    assert not Device.objects.exists()


def test_a_name_that_appears_while_the_preview_is_open_is_told_and_nothing_is_registered(ada, url, now):
    sealed = seal(preview(ada, url, "door-1\ndoor-2"))
    registered("door-2", now)
    before = everything()
    again = ada.post(url, **fields("door-1\ndoor-2", register=sealed))
    assert [problem.line for problem in again.context["problems"]] == [2]
    assert everything() == before


def test_one_that_appears_after_the_last_check_is_told_too(ada, url, now, monkeypatch):
    read = rosters.read

    def read_and_lose(text, default):
        roster = read(text, default)
        registered("door-2", now)
        return roster

    sealed = seal(preview(ada, url, "door-1\ndoor-2"))
    monkeypatch.setattr(rosters, "read", read_and_lose)
    answer = ada.post(url, **fields("door-1\ndoor-2", register=sealed))
    assert "Nothing was registered" in answer.content.decode()
    assert [device.name for device in Device.objects.all()] == ["door-2"]


def test_sending_it_twice_registers_once(ada, url):
    sealed = seal(preview(ada, url, "door-1"))
    for _ in range(2):
        answer = ada.post(url, **fields("door-1", register=sealed))
    assert "exists already" in answer.content.decode()
    assert events("device.registered").count() == 1


# --- Tokens ---------------------------------------------------------------------------------------


def test_tokens_are_shown_once_and_work_and_are_kept_nowhere(ada, url, now):
    answer = register(ada, url, "door-1\ndoor-2", hours="1")
    assert "no-store" in answer["Cache-Control"]
    html = answer.content.decode()
    secret = re.search(r"door-2,(hatch_[\w-]+),", html)[1]
    assert "tokens.csv" in html
    assert secret not in str(everything())
    assert secret not in str(dict(ada.client.session))
    assert Gadget("door-2").enroll(secret, now).certificate.device.name == "door-2"
    ada.pages.clear()
    ada.get(url)
    ada.get(changelist(Device))
    assert not [page for page in ada.pages if "hatch_" in page]


def test_tokens_are_for_those_who_may_make_them(ca, url):
    bob = browser(staff("bob", "view_device", "add_device"))
    assert register(bob, url, "door-1").status_code == 200
    before = everything()
    assert preview(bob, url, "door-2", hours="24").status_code == 403
    assert bob.post(url, **fields("door-2", hours="24", register="x")).status_code == 403
    assert everything() == before
    assert not EnrollmentToken.objects.exists()


# --- Who may --------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["viewer", "newcomer", "stranger", "unprotected"])
def test_nothing_is_registered_by_who_may_not(request, url, who):
    person = request.getfixturevalue(who)
    before = everything()
    if who != "unprotected":
        assert person.get(url).status_code in (302, 403)
    for more in ({"preview": "yes"}, {"register": "yes"}):
        assert person.post(url, **fields("door-1", **more)).status_code in (302, 403)
    assert everything() == before


# --- Progress -------------------------------------------------------------------------------------


def streamed(person, url, rows, **more):
    sealed = seal(preview(person, url, rows, **more))
    return person.client.post(
        url,
        fields(rows, register=sealed, **more),
        secure=True,
        headers={"accept": "application/x-ndjson"},
    )


def test_the_progress_is_told_as_it_goes_on(ada, url):
    answer = streamed(ada, url, "\n".join(f"d{number}" for number in range(2_100)), hours="24")
    assert answer.streaming
    assert "no-store" in answer["Cache-Control"]
    steps = [json.loads(line) for line in b"".join(answer.streaming_content).splitlines()]
    assert [(step["doing"], step["done"]) for step in steps[:-1]] == [
        ("Registering", 0),
        ("Registering", 1_000),
        ("Registering", 2_000),
        ("Registering", 2_100),
        ("Making tokens", 1_000),
        ("Making tokens", 2_000),
        ("Making tokens", 2_100),
    ]
    assert "Registered 2100 devices" in steps[-1]["html"]
    assert steps[-1]["html"].count("hatch_") == 2_100


def test_a_browser_that_goes_away_in_the_middle_has_registered_nothing(ada, url):
    answer = streamed(ada, url, "\n".join(f"d{number}" for number in range(2_100)))
    lines = answer._iterator  # what the server reads, and closes when the client is gone
    assert [json.loads(next(lines))["done"] for _ in range(3)] == [0, 1_000, 2_000]
    lines.close()
    assert not Device.objects.exists()


def breaks_off(monkeypatch, module, name, after, fault=None):
    """Have the database fail in a function after so many calls of it."""
    goes_on, calls = getattr(module, name), []

    def fails(*words, **options):
        calls.append(name)
        if len(calls) > after:
            raise fault or OperationalError("server closed the connection")
        return goes_on(*words, **options)

    monkeypatch.setattr(module, name, fails)


def test_a_database_that_fails_in_the_middle_is_told_and_nothing_is_registered(ada, url, monkeypatch, caplog):
    answer = streamed(ada, url, "door-1\ndoor-2")
    breaks_off(monkeypatch, devices.audit, "record_each", after=0)
    first, last = [json.loads(line) for line in b"".join(answer.streaming_content).splitlines()]
    assert first == {"doing": "Registering", "done": 0, "of": 2}
    assert "Broken off" in last["html"]
    assert not Device.objects.exists()
    (said,) = [record for record in caplog.records if record.name == "hatchery.console"]
    assert "server closed the connection" in said.message
    assert said.exc_info is None


def test_tokens_that_were_made_before_the_database_failed_are_handed_out(ada, url, now, monkeypatch):
    answer = streamed(ada, url, "\n".join(f"d{number}" for number in range(1_001)), hours="24")
    breaks_off(monkeypatch, rosters.tokens, "make_each", after=1)
    *_, last = [json.loads(line) for line in b"".join(answer.streaming_content).splitlines()]
    assert "Broken off" in last["html"]
    secrets = re.findall(r"(d\d+),(hatch_[\w-]+),", last["html"])
    assert len(secrets) == EnrollmentToken.objects.count() == 1_000
    name, secret = secrets[0]
    assert Gadget(name).enroll(secret, now).certificate.device.name == name


def test_a_mistake_of_ours_leaves_a_traceback(ada, url, monkeypatch, caplog):
    answer = streamed(ada, url, "door-1")
    breaks_off(monkeypatch, devices.audit, "record_each", after=0, fault=ProgrammingError("no such column"))
    *_, last = [json.loads(line) for line in b"".join(answer.streaming_content).splitlines()]
    assert "Broken off" in last["html"]
    (said,) = [record for record in caplog.records if record.name == "hatchery.console"]
    assert "no such column" in str(said.exc_info[1])


def test_without_a_stream_a_database_that_fails_is_a_503_as_everywhere(ada, url, monkeypatch):
    sealed = seal(preview(ada, url, "door-1"))
    breaks_off(monkeypatch, devices.audit, "record_each", after=0)
    ada.client.raise_request_exception = False
    answer = ada.client.post(url, fields("door-1", register=sealed), secure=True)
    assert (answer.status_code, answer["Retry-After"]) == (503, "60")
    assert not Device.objects.exists()


def test_an_error_is_no_stream(ada, url):
    answer = ada.client.post(
        url, fields("a b", register="x"), secure=True, headers={"accept": "application/x-ndjson"}
    )
    assert answer["Content-Type"].startswith("text/html")


def test_ten_thousand_lines_of_which_one_is_bad_register_nothing(ada, url):
    rows = "\n".join([f"d{number}" for number in range(9_999)] + ["d 9999"])
    shown = preview(ada, url, rows)
    assert [problem.line for problem in shown.context["problems"]] == [10_000]
    assert len(shown.context["new"]) == 100
    assert not Device.objects.exists()
