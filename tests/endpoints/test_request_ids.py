"""Each answer has a name of ours, and the lines of the log about it have it too."""

import io
import json
import logging

import pytest

from pki.endpoints import request_ids
from pki.services.auditing import chain, checkpoints, sealing
from portal.log_format import Json, Line
from tests.endpoints.conftest import ListenerClient
from tests.services.cast import registered

HOSTILE = ["x" * 65, "a b", 'a"b', "a\nb", "a\r\nX-Evil: 1", "ü", ""]


@pytest.fixture
def written():
    """What is logged while the test runs, by formatter."""
    streams = {}
    root = logging.getLogger()

    def by(formatter):
        handler = logging.StreamHandler(io.StringIO())
        handler.setFormatter(formatter)
        root.addHandler(handler)
        streams[handler] = handler.stream
        return lambda: handler.stream.getvalue().splitlines()

    yield by
    for handler in streams:
        root.removeHandler(handler)


@pytest.fixture
def logged(settings):
    settings.PORTAL_LOG_REQUESTS = True
    logging.getLogger("hatchery.request").setLevel(logging.INFO)


def test_each_answer_has_another_name():
    names = {ListenerClient("hello").get(path)["X-Request-Id"] for path in ("/hello", "/hello", "/nowhere")}
    assert len(names) == 3
    assert all(len(name) == 16 and int(name, 16) >= 0 for name in names)


def test_a_name_that_a_client_offers_is_never_taken(logged, written):
    lines = written(Json())
    answer = ListenerClient("hello").get("/hello", HTTP_X_REQUEST_ID="abc-123")
    assert answer["X-Request-Id"] != "abc-123"
    (line,) = map(json.loads, lines())
    assert (line["request"], line["offered_id"]) == (answer["X-Request-Id"], "abc-123")


@pytest.mark.parametrize("offered", HOSTILE)
def test_what_is_no_name_is_not_even_kept(logged, written, offered):
    lines = written(Json())
    ListenerClient("hello").get("/hello", HTTP_X_REQUEST_ID=offered)
    (line,) = map(json.loads, lines())
    assert "offered_id" not in line


def test_the_line_of_a_failure_has_the_name_that_the_client_was_told(ca, written, monkeypatch):
    from pki.endpoints import publish

    def broken(*_):
        raise RuntimeError("broken")

    monkeypatch.setattr(publish.authorities, "trusted", broken)
    text, objects = written(Line()), written(Json())
    name = ListenerClient("status").get("/ca/all.pem")["X-Request-Id"]
    assert any(line.endswith(f"request={name}") for line in text())
    (line,) = map(json.loads, objects())
    assert (line["request"], line["level"], line["logger"]) == (name, "ERROR", "hatchery.endpoint")
    assert "RuntimeError: broken" in line["exception"]


def test_outside_a_request_there_is_no_name(written):
    text, objects = written(Line()), written(Json())
    logging.getLogger("hatchery.start").warning("It begins.")
    assert "request" not in json.loads(objects()[0])
    assert "request=" not in text()[0]
    assert request_ids.current() == ""


def test_no_message_breaks_out_of_its_line(written):
    objects = written(Json())
    logging.getLogger("hatchery.start").warning('one\ntwo "three" \u2028 %s', {"a": 1})
    (line,) = objects()
    assert json.loads(line)["message"] == "one\ntwo \"three\" \u2028 {'a': 1}"


def test_an_event_of_the_audit_trail_stands_in_its_line_once_and_as_it_is(
    ca, now, written, django_capture_on_commit_callbacks
):
    text, objects = written(Line()), written(Json())
    with django_capture_on_commit_callbacks(execute=True):
        registered("door", now)
    sealing.seal(now)
    made, signed = map(json.loads, objects())
    assert (made["kind"], made["message"]) == ("device.registered",) * 2
    assert made["event"]["device"] == "door"
    assert None not in made["event"].values()
    assert (signed["kind"], signed["message"]) == ("audit.checkpoint",) * 2
    assert json.dumps(signed["event"]) == text()[1].partition(" audit.checkpoint ")[2]
    last = chain.last_checkpoint()
    assert signed["event"] == checkpoints.record(last), "what --noted takes"


def test_a_line_of_a_request_has_the_address_as_it_is_written_here_and_no_secret(ca, logged, written):
    lines = written(Json())
    secret = "0d2e0c52-6a3e-4d6e-9a57-2f6b6a3f9f11"
    ListenerClient("provisioning").get(f"/enrollments/{secret}?token=hunter2")
    (line,) = lines()
    said = json.loads(line)
    assert secret not in line
    assert "hunter2" not in line
    assert (said["endpoint"], said["status"], said["code"]) == ("/enrollments/{request_id}", 404, "not_found")


def test_requests_have_no_line_unless_they_are_to(ca, written):
    lines = written(Line())
    ListenerClient("hello").get("/hello")
    assert lines() == []
