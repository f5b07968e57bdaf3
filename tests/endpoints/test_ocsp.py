"""`/ocsp` and all that can be sent there: an OCSP answer, or a problem, and never a page."""

import base64
from datetime import timedelta
from email.utils import parsedate_to_datetime
from io import BytesIO
from urllib.parse import quote

import pytest
import time_machine
from cryptography.x509 import ocsp as wire
from django.db import OperationalError
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pki.core import ocsp
from pki.keystore import KeystoreError
from pki.models import Certificate, Revocation
from pki.services.publishing import ocsp_answers, revocation_status
from pki.services.revoking import revocation
from tests.core.cast import MOMENT
from tests.core.ocsp_cast import NONCE, asked, asked_by_hash, nonce, single, strange, told, whole
from tests.endpoints.problems import assert_problem
from tests.services.cast import TESTER, issue, registered

REQUEST, RESPONSE = "application/ocsp-request", "application/ocsp-response"


@pytest.fixture
def certificate(ca, now) -> Certificate:
    return issue(registered("door-1", now), now)


@pytest.fixture
def question(certificate) -> bytes:
    return asked(certificate.parsed, certificate.issuer.certificate)


def path_of(der: bytes) -> str:
    return "/ocsp/" + quote(base64.b64encode(der).decode(), safe="")


def assert_answer(response, word: str) -> None:
    """An OCSP response that says `word`, as RFC 6960 A.2 has it."""
    assert (response.status_code, response["Content-Type"]) == (200, RESPONSE)
    assert response["Content-Length"] == str(len(response.content))
    assert told(response.content) == word


def revoke(certificate) -> None:
    revocation.revoke([certificate], Revocation.Reason.KEY_COMPROMISE, TESTER, timezone.now())


# --- Answers --------------------------------------------------------------------------------------


def test_a_post_and_a_get_are_answered_alike(status, question):
    posted, got = status.post("/ocsp", question, REQUEST), status.get(path_of(question))
    assert_answer(posted, "good")
    assert posted.content == got.content


def test_a_get_may_be_percent_encoded_or_not(status, question):
    text = base64.b64encode(question).decode()
    for path in (text, quote(text), quote(text, safe=""), text.rstrip("="), "/" + text):
        assert_answer(status.get(f"/ocsp/{path}"), "good")


def test_plus_and_slash_in_the_path_are_base64(status, ca):
    der = asked_by_hash(b"\xfb" * 20, b"\xff" * 20, 1)
    text = base64.b64encode(der).decode()
    assert "+" in text
    assert "//" in text
    assert_answer(status.get(f"/ocsp/{text}"), "unauthorized")


def test_after_a_revocation_the_next_answer_says_so(status, question, certificate):
    assert_answer(status.get(path_of(question)), "good")
    revoke(certificate)
    assert_answer(status.get(path_of(question)), "revoked")
    assert_answer(status.post("/ocsp", question, REQUEST), "revoked")


def test_a_post_is_kept_by_no_cache(status, question):
    response = status.post("/ocsp", question, REQUEST)
    assert response["Cache-Control"] == "no-store"
    assert not response.has_header("ETag")


def test_a_content_type_may_have_parameters_and_any_case(status, question):
    assert_answer(status.post("/ocsp", question, "Application/OCSP-Request; charset=binary"), "good")


# --- Caches ---------------------------------------------------------------------------------------


def test_a_get_is_kept_for_as_long_as_the_settings_say(status, question, settings):
    settings.PORTAL_STATUS_MAX_AGE = 7
    with time_machine.travel(MOMENT, tick=False):
        response = status.get(path_of(question))
    answer = wire.load_der_ocsp_response(response.content)
    assert set(response["Cache-Control"].split(", ")) == {
        "public",
        "no-transform",
        "must-revalidate",
        "max-age=7",
    }
    assert parsedate_to_datetime(response["Expires"]) == MOMENT + timedelta(seconds=7)
    assert parsedate_to_datetime(response["Last-Modified"]) == answer.this_update_utc == MOMENT


def test_and_never_beyond_its_next_update(status, question, settings):
    settings.PORTAL_STATUS_MAX_AGE = 86400
    settings.PORTAL_OCSP_SECONDS = 60
    with time_machine.travel(MOMENT, tick=False) as clock:
        assert "max-age=60" in status.get(path_of(question))["Cache-Control"]
        clock.shift(20)
        assert "max-age=40" in status.get(path_of(question))["Cache-Control"]


@pytest.mark.parametrize("known", ["{}", "W/{}", '"other", {}', "*"])
def test_who_has_the_answer_already_is_told_so(status, question, known):
    first = status.get(path_of(question))
    again = status.get(path_of(question), headers={"If-None-Match": known.format(first["ETag"])})
    assert (again.status_code, again.content) == (304, b"")
    assert "Content-Type" not in again.headers
    for name in ("ETag", "Last-Modified"):
        assert again[name] == first[name]
    assert again["Cache-Control"] == first["Cache-Control"]


def test_who_has_another_answer_is_sent_this_one(status, question, certificate):
    with time_machine.travel(timezone.now(), tick=False):
        first = status.get(path_of(question))
        revoke(certificate)
        headers = {"If-None-Match": first["ETag"], "If-Modified-Since": first["Last-Modified"]}
        assert_answer(status.get(path_of(question), headers=headers), "revoked")


def test_if_modified_since_never_hides_a_revocation_of_the_same_second(status, question, certificate):
    with time_machine.travel(timezone.now(), tick=False):
        first = status.get(path_of(question))
        revoke(certificate)
        later = status.get(path_of(question), headers={"If-Modified-Since": first["Last-Modified"]})
    assert_answer(later, "revoked")


@pytest.mark.parametrize("what", ["nonce", "unknown", "malformed", "stranger"])
def test_what_is_not_for_everybody_or_not_for_long_is_kept_by_no_cache(status, certificate, what):
    issuer = certificate.issuer.certificate
    [(_, name, key), *_] = ocsp.hashes_of(issuer)
    der, word = {
        "nonce": (asked(certificate.parsed, issuer, nonce=NONCE), "good"),
        "unknown": (asked_by_hash(name, key, 77), "unknown"),
        "malformed": (b"\0", "malformed_request"),
        "stranger": (whole(single()), "unauthorized"),
    }[what]
    response = status.get(path_of(der))
    assert_answer(response, word)
    assert response["Cache-Control"] == "no-store"
    assert not response.has_header("ETag")


def test_head_has_what_get_has(status, question):
    got, head = status.get(path_of(question)), status.head(path_of(question))
    assert head.status_code == 200
    assert head["ETag"] == got["ETag"]


# --- Bad input ------------------------------------------------------------------------------------

REFUSED = {
    "nothing": (b"", "malformed_request"),
    "noise": (b"\x30\x03\x02\x01\x00", "malformed_request"),
    "two certificates": (whole(single(), single()), "malformed_request"),
    "a hundred": (whole(*[single()] * 100), "malformed_request"),
    "a nonce of no octets": (whole(single(), extensions=nonce(b"")), "malformed_request"),
    "a nonce of 129": (whole(single(), extensions=nonce(b"x" * 129)), "malformed_request"),
    "a critical extension": (whole(single(), extensions=strange(critical=True)), "malformed_request"),
    "a negative serial": (whole(single(serial=b"\xff")), "malformed_request"),
    "a huge serial": (whole(single(serial=b"\1" * 5000)), "malformed_request"),
    "hashes that are too short": (whole(single(b"n", b"k")), "unauthorized"),
    "an issuer of somebody else": (whole(single()), "unauthorized"),
}


@pytest.mark.parametrize(("der", "word"), REFUSED.values(), ids=REFUSED)
def test_bad_input_is_an_ocsp_error(status, der, word):
    assert_answer(status.post("/ocsp", der, REQUEST), word)
    if der:
        assert_answer(status.get(path_of(der)), word)


@pytest.mark.parametrize("path", ["MEkw-_", "%00", "%E2%82%AC", "ME%252Bw", "a/../b", "\x7f", "=", "%FF%FE"])
def test_a_mangled_path_is_an_ocsp_error(status, path):
    assert_answer(status.get(f"/ocsp/{path}"), "malformed_request")


def test_a_thousand_certificates_are_too_large(status):
    body = whole(*[single()] * 1000)
    assert_problem(status.post("/ocsp", body, REQUEST), 413, "body_too_large")


def test_a_huge_body_is_refused_unread(status):
    unread = BytesIO(b"x" * 100)
    response = status.post("/ocsp", b"", REQUEST, CONTENT_LENGTH="99999999999", **{"wsgi.input": unread})
    assert_problem(response, 413, "body_too_large")
    assert unread.tell() == 0


@pytest.mark.parametrize("length", ["-1", "1e3", "\uff19", "1" * 30])
def test_a_length_that_is_none_is_refused(status, length):
    response = status.post("/ocsp", b"x", REQUEST, CONTENT_LENGTH=length)
    assert_problem(response, 413, "body_too_large")


def test_a_chunked_body_is_refused(status):
    response = status.post("/ocsp", b"x", REQUEST, HTTP_TRANSFER_ENCODING="chunked")
    assert_problem(response, 411, "length_required")


@pytest.mark.parametrize("content_type", ["", "text/plain", RESPONSE, "application/x-www-form-urlencoded"])
def test_a_body_of_another_type_is_refused(status, question, content_type):
    assert_problem(status.post("/ocsp", question, content_type), 415, "unsupported_media_type")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "PROPFIND"])
def test_another_method_than_post_is_refused(status, method):
    response = status.generic(method, "/ocsp")
    assert_problem(response, 405, "method_not_allowed")
    assert response["Allow"] == "POST"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_and_with_a_path_another_than_get(status, method, question):
    response = status.generic(method, path_of(question))
    assert_problem(response, 405, "method_not_allowed")
    assert response["Allow"] == "GET, HEAD"


def test_a_post_to_the_folder_is_answered_too(status, question):
    """Clients put a slash after the address of a responder."""
    assert_answer(status.post("/ocsp/", question, REQUEST), "good")
    assert_problem(status.get("/ocsp/"), 405, "method_not_allowed")


def test_a_line_break_in_the_path_is_malformed(status, question):
    text = base64.b64encode(question).decode()
    for path in (f"{text[:8]}\n{text[8:]}", f"{text}\n", "\n"):
        assert_answer(status.get("/ocsp/" + quote(path, safe="")), "malformed_request")


def test_it_is_on_the_status_listener_alone(provisioning, question):
    assert_problem(provisioning.post("/ocsp", question, REQUEST), 404, "not_found")
    assert_problem(provisioning.get(path_of(question)), 404, "not_found")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_bytes_are_answered(status, body):
    response = status.post("/ocsp", body, REQUEST)
    assert_answer(response, told(response.content))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60))
def test_any_path_is_answered(status, raw):
    response = status.get("/ocsp/x" + quote(raw, safe="/"))
    assert_answer(response, told(response.content))


# --- What breaks ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raised", "word"),
    [
        (OperationalError("connection to server at secret-host failed"), "try_later"),
        (KeystoreError("The key file cannot be read"), "try_later"),
        (RuntimeError("nobody thought of this"), "internal_error"),
    ],
    ids=["the database", "the keystore", "anything"],
)
def test_what_breaks_is_an_ocsp_error_and_a_line_in_the_log(
    status, question, monkeypatch, caplog, raised, word
):
    def broken(*_):
        raise raised

    monkeypatch.setattr(revocation_status, "of_serial", broken)
    for response in (status.post("/ocsp", question, REQUEST), status.get(path_of(question))):
        assert_answer(response, word)
        assert response["Cache-Control"] == "no-store"
    told = [record for record in caplog.records if record.name == "hatchery.ocsp"]
    if word == "try_later":
        # Anybody can ask while the database is away.
        assert [record.exc_info for record in told] == [None]
        assert str(raised) in told[0].getMessage()
    else:
        assert all(record.exc_info for record in told)
        assert len(told) == 2


def test_what_every_request_meets_is_one_line_in_the_log(status, monkeypatch, caplog):
    def broken(*_):
        raise OperationalError("connection refused")

    monkeypatch.setattr("pki.endpoints.crl.serving.current_full_lists", broken)
    for _ in range(12):
        assert status.get("/crl/all.pem").status_code == 503
    (line,) = [record for record in caplog.records if record.name == "hatchery.endpoint"]
    assert "connection refused" in line.getMessage()
    assert line.exc_info is None


def test_a_node_without_the_issuers_key_says_try_later(status, question, ca):
    for file in (ca / "keys").glob("issuer-*"):
        file.unlink()
    assert_answer(status.post("/ocsp", question, REQUEST), "try_later")


def test_when_the_issuer_has_ended_nobody_can_answer(status, question, certificate):
    ocsp_answers.forget()
    with time_machine.travel(certificate.issuer.not_after + timedelta(days=1)):
        assert_answer(status.post("/ocsp", question, REQUEST), "unauthorized")
