"""What every answer of the console says to browsers, and what its cookies are."""

import re
from pathlib import Path

import pytest
import time_machine
from django.conf import settings
from django.contrib.staticfiles import finders
from django.urls import reverse
from unfold.settings import CONFIG_DEFAULTS

from portal.middleware import CONTENT_SECURITY_POLICY
from tests.console.browser import changelist, page
from tests.console.test_pages import MODELS
from tests.services.cast import SECOND

DIRECTIVES = dict(part.split(" ", 1) for part in CONTENT_SECURITY_POLICY.split("; "))


def answers(ada, stranger, world):
    """Good pages and every kind of bad one."""
    yield stranger.get(reverse("admin:login"))
    yield stranger.post(reverse("admin:login"), username="admin", password="wrong")
    yield stranger.get(reverse("admin:index"))  # 302
    yield stranger.client.get(reverse("admin:login"))  # 301 to TLS
    yield ada.get(reverse("admin:index"))
    yield ada.get("/nothing/")  # 404
    yield ada.get("/admin/nothing/")
    yield ada.get("/admin/login/certificate/")  # 405
    yield ada.get(changelist(MODELS[0]), q="a\0b")  # 400
    yield ada.get(page(world.certificate, "delete"))  # 403
    yield ada.client.get(reverse("admin:index"), secure=True, HTTP_HOST="evil.example")  # 400
    yield ada.client.trace(reverse("admin:index"), secure=True)  # 405, before any view
    yield ada.post(reverse("admin:login"), username="x" * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1))  # 413
    for model in MODELS:
        yield ada.get(changelist(model))


def test_every_answer_has_them_errors_too(ada, stranger, world):
    seen = set()
    for answer in answers(ada, stranger, world):
        seen.add(answer.status_code)
        where = answer.request["PATH_INFO"]
        assert answer["Content-Security-Policy"] == CONTENT_SECURITY_POLICY, where
        assert answer["X-Frame-Options"] == "DENY", where
        assert answer["X-Content-Type-Options"] == "nosniff", where
        assert answer["Referrer-Policy"] == "same-origin", where
        assert answer["Cross-Origin-Opener-Policy"] == "same-origin", where
        assert "no-store" in answer["Cache-Control"], where
        assert "camera=()" in answer["Permissions-Policy"], where
        assert answer["Cross-Origin-Resource-Policy"] == "same-origin", where
        assert not [name for name in answer.headers if name.startswith("Access-Control-")], where
    assert seen == {200, 301, 302, 400, 403, 404, 405, 413}


def test_static_files_are_kept_and_pages_are_not(ada):
    answer = ada.client.get("/static/hatchery/console.css", secure=True)
    assert answer.status_code == 200
    assert "no-store" not in answer["Cache-Control"]
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Access-Control-Allow-Origin" not in answer
    answer.close()


def test_nothing_is_allowed_that_the_policy_does_not_name():
    assert DIRECTIVES["default-src"] == DIRECTIVES["frame-ancestors"] == DIRECTIVES["base-uri"] == "'none'"
    assert {name for name, sources in DIRECTIVES.items() if "'unsafe-inline'" in sources} == {
        "style-src-attr"
    }
    assert {name for name, sources in DIRECTIVES.items() if "'unsafe-eval'" in sources} == {"script-src"}
    assert not re.search(r"https?:|\*|data:|blob:", CONTENT_SECURITY_POLICY)


def test_no_page_holds_what_the_policy_forbids(ada, stranger, world):
    """Inline scripts, event handlers and style elements would be dead on the page."""
    pages = [answer.content.decode() for answer in answers(ada, stranger, world)]
    pages += [ada.get(page(row)).content.decode() for model in MODELS for row in model.objects.all()[:1]]
    for html in pages:
        assert not re.search(r"<style\b", html)
        assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)", html)
        assert not re.search(r"<[^>]+\son(click|change|load|submit|input|error)\s*=", html)
        assert not re.search(r"(?:src|href)=[\"'](?:https?:)?//", html)


def test_the_palette_is_unfolds_own():
    """It was copied from unfold, whose stylesheet is written for it."""
    css = Path(finders.find("hatchery/colors.css")).read_text()
    for name, weights in CONFIG_DEFAULTS["COLORS"].items():
        for weight in weights:
            assert f"--color-{name}-{weight}:" in css


@pytest.mark.parametrize("name", [settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME])
def test_a_cookie_is_for_this_host_over_tls_and_for_no_script_and_ends_with_the_browser(ca, client, name):
    client.get(reverse("admin:login"), secure=True)
    client.post(reverse("admin:login"), {"username": "admin", "password": "a-password"}, secure=True)
    cookie = client.cookies[name]
    assert name.startswith("__Host-")
    assert cookie["secure"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert (cookie["path"], cookie["domain"], cookie["max-age"]) == ("/", "", "")


def test_a_session_ends_on_the_server_too(ada, now):
    age = settings.PORTAL_SESSION_SECONDS * SECOND
    with time_machine.travel(now + age - 60 * SECOND):
        assert ada.get(reverse("admin:index")).status_code == 200
    with time_machine.travel(now + age + 60 * SECOND):
        assert ada.get(reverse("admin:index")).status_code == 302
