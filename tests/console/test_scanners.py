"""What scanners for the web try on a console: methods, hosts, redirects, sessions, other people's pages.

Headers are in `test_headers.py`; every address, by a stranger, without a permission and from another site, is
in `test_every_url.py`.
"""

import re

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.urls import reverse

from pki.models import Device
from tests.console.browser import changelist, page
from tests.console.conftest import browser
from tests.services.cast import everything

LOGIN, LOGOUT = reverse("admin:login"), reverse("admin:logout")
RIGHT = {"username": "admin", "password": "a-password"}
ELSEWHERE = (
    *(
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "\\\\evil.example",
        "https:evil.example",
    ),
    *(
        "javascript:alert(1)",
        "data:text/html,x",
        "http://testserver/admin/",
        "https://testserver@evil.example/",
    ),
)
SCRIPT = "<script>alert(1)</script>"


def is_in(who) -> bool:
    return who.get(reverse("admin:index")).status_code == 200


# --- Methods --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["TRACE", "TRACK", "OPTIONS", "PUT", "PATCH", "DELETE", "CONNECT"])
def test_no_method_but_get_head_and_post_reaches_a_page(ada, world, method):
    before = everything()
    for url in (
        "/",
        LOGIN,
        reverse("admin:index"),
        page(world.door),
        page(world.door, "delete"),
        "/nothing/",
    ):
        answer = ada.client.generic(method, url, b"post=yes", secure=True, HTTP_X_ECHO="as-it-was-sent")
        assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD, POST"), url
        assert b"as-it-was-sent" not in answer.content, url
    assert everything() == before


def test_a_header_makes_no_other_method(ada, world):
    before = everything()
    answer = ada.client.get(page(world.door, "delete"), secure=True, HTTP_X_HTTP_METHOD_OVERRIDE="POST")
    assert answer.status_code in (200, 403)
    assert everything() == before


def test_logging_out_takes_a_post_and_ends_the_session_on_the_server(ada):
    assert ada.get(LOGOUT).status_code == 405
    assert is_in(ada)
    kept = ada.client.cookies[settings.SESSION_COOKIE_NAME].value
    ada.post(LOGOUT)
    thief = browser(None)
    thief.client.cookies[settings.SESSION_COOKIE_NAME] = kept
    assert not is_in(thief)


# --- Where a browser is sent ----------------------------------------------------------------------


@pytest.mark.parametrize("wanted", ELSEWHERE)
def test_nobody_is_sent_elsewhere_after_the_login_or_the_logout(stranger, wanted):
    answer = stranger.client.post(
        LOGIN, {**RIGHT, "next": wanted}, secure=True, query_params={"next": wanted}
    )
    assert (answer.status_code, answer["Location"]) == (302, reverse("admin:index"))
    answer = stranger.client.post(LOGOUT, {"next": wanted}, secure=True, query_params={"next": wanted})
    assert answer.status_code in (200, 302)
    assert answer.get("Location", LOGOUT) == LOGOUT


def test_whoever_asked_for_a_page_is_sent_there(stranger):
    wanted = changelist(Device)
    answer = stranger.post(stranger.get(wanted)["Location"], **RIGHT, next=wanted)
    assert answer["Location"] == wanted


@pytest.mark.parametrize(
    "url", ["//evil.example/admin/pki/device", "/admin//evil.example", "//evil.example/.."]
)
def test_no_address_leads_to_another_host(ada, url):
    answer = ada.client.generic("GET", url, secure=True)
    assert not answer.get("Location", "").startswith(("//", "http", "/\\"))


# --- Hosts ----------------------------------------------------------------------------------------


def test_a_host_that_is_not_ours_is_refused_and_not_repeated(ada):
    for host in ("evil.example", "testserver.evil.example", "evil.example:8446", "testserver@evil.example"):
        answer = ada.client.get(reverse("admin:index"), secure=True, HTTP_HOST=host)
        assert answer.status_code == 400, host
        assert b"evil" not in answer.content, host


def test_no_header_makes_another_host_or_a_connection_with_tls(ada):
    headers = {"HTTP_X_FORWARDED_HOST": "evil.example", "HTTP_FORWARDED": "host=evil.example;proto=https"}
    assert b"evil.example" not in ada.client.get(reverse("admin:index"), secure=True, **headers).content
    for proto in ({"HTTP_X_FORWARDED_PROTO": "https"}, {"HTTP_X_FORWARDED_SSL": "on"}):
        answer = ada.client.get(reverse("admin:index"), **headers, **proto)
        assert (answer.status_code, answer["Location"]) == (301, "https://testserver/admin/")


# --- Sessions -------------------------------------------------------------------------------------


def test_a_login_takes_no_session_that_somebody_else_chose(stranger):
    chosen = "c" * 32
    stranger.client.cookies[settings.SESSION_COOKIE_NAME] = chosen
    stranger.get(LOGIN)
    before = stranger.client.cookies[settings.CSRF_COOKIE_NAME].value
    stranger.post(LOGIN, **RIGHT)
    assert is_in(stranger)
    assert stranger.client.cookies[settings.SESSION_COOKIE_NAME].value != chosen
    assert not Session.objects.filter(pk=chosen).exists()
    assert stranger.client.cookies[settings.CSRF_COOKIE_NAME].value != before


def test_another_secret_key_ends_every_session(ada, settings):
    assert is_in(ada)
    settings.SECRET_KEY = "another-secret-key-that-is-long-enough-for-anybody-to-use"
    assert not is_in(ada)


def test_every_cookie_is_for_tls_and_for_no_script(stranger):
    """Those that carry a message to the next page as well."""
    stranger.get(LOGIN)
    stranger.post(LOGIN, **RIGHT)
    stranger.post(reverse("login_by_certificate"))
    assert set(stranger.client.cookies) >= {"messages", settings.SESSION_COOKIE_NAME}
    for name, cookie in stranger.client.cookies.items():
        assert cookie["secure"], name
        assert cookie["httponly"], name
        assert cookie["samesite"] == "Lax", name
        assert cookie["domain"] == "", name


# --- Forms of other people's pages ----------------------------------------------------------------


def test_a_form_with_its_token_is_taken_from_our_own_pages_alone(unprotected, world):
    """`test_every_url.py` asks without a token."""
    html = unprotected.get(reverse("admin:index")).content.decode()
    (token,) = set(re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', html))
    sent = {"csrfmiddlewaretoken": token}
    for headers in (
        {"HTTP_ORIGIN": "https://evil.example", "HTTP_REFERER": "https://testserver/admin/"},
        {"HTTP_ORIGIN": "null"},
        {"HTTP_REFERER": "https://evil.example/admin/"},
        {"HTTP_REFERER": "https://testserver.evil.example/"},
        {},
    ):
        assert unprotected.client.post(LOGOUT, sent, secure=True, **headers).status_code == 403, headers
        assert is_in(unprotected)
    strangers = {"csrfmiddlewaretoken": "x" * len(token)}
    ours = {"HTTP_ORIGIN": "https://testserver"}
    assert unprotected.client.post(LOGOUT, strangers, secure=True, **ours).status_code == 403
    assert unprotected.client.post(LOGOUT, sent, secure=True, **ours).status_code in (200, 302)
    assert not is_in(unprotected)


def test_a_stranger_cannot_be_logged_in_by_another_site(ca):
    victim = browser(None, enforce_csrf_checks=True)
    assert victim.post(LOGIN, **RIGHT).status_code == 403
    assert not is_in(victim)


# --- What comes back ------------------------------------------------------------------------------


def test_what_was_asked_for_comes_back_as_text_or_not_at_all(ada, stranger):
    answers = [
        ada.get(f"/admin/{SCRIPT}/"),
        ada.get(f"/{SCRIPT}"),
        ada.get(changelist(Device), q=f'"{SCRIPT}'),
        ada.get(changelist(Device), **{f"x{SCRIPT}": "1"}),
        ada.get(reverse("admin:search"), q=SCRIPT),
        stranger.get(LOGIN, next=f'"{SCRIPT}'),
        stranger.post(LOGIN, username=f'"{SCRIPT}', password="wrong"),
    ]
    assert {answer.status_code for answer in answers} >= {200, 400, 404}
    for answer in answers:
        assert SCRIPT not in answer.content.decode(), answer.request["PATH_INFO"]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "hatchery/",
        "../manage.py",
        "%2e%2e/%2e%2e/manage.py",
        "hatchery/..%2f..%2f..%2fmanage.py",
        "/etc/passwd",
    ],
)
def test_nothing_but_static_files_is_served_under_their_address(ada, path):
    answer = ada.client.get(f"/static/{path}", secure=True)
    assert answer.status_code == 404
    assert b"django" not in answer.content.lower()
