"""Every address that the console knows, asked for by who may not have it: none is left out.

`test_roles.py` says what each role may; here is what nobody may.
"""

import re
from collections.abc import Iterator

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.urls import URLPattern, URLResolver, get_resolver

from tests.console.conftest import browser, staff
from tests.console.test_roles import done
from tests.services.cast import everything

# Where a stranger is answered: to log in, the words of the pages' scripts, and what leads to the console.
FOR_ALL = {"/", "/admin/login/", "/admin/login/certificate/", "/admin/logout/", "/admin/jsi18n/"}
# Where somebody is answered who may log in, and has no permission; the search finds what its user may see.
FOR_STAFF = FOR_ALL | {
    "/admin/",
    "/admin/password_change/",
    "/admin/password_change/done/",
    "/admin/search/",
}
_CONVERTED = re.compile(r"<(?:\w+:)?(\w+)>")
# What would press most buttons, if it were let.
PRESSED = {"confirmed": "yes", "post": "yes", "once": "one", "reason": "superseded", "hours": "24"}


def patterns(resolver: URLResolver, before: str = "") -> Iterator[tuple[str, URLPattern]]:
    for each in resolver.url_patterns:
        if isinstance(each, URLResolver):
            yield from patterns(each, before + str(each.pattern))
        else:
            yield before + str(each.pattern), each


def addresses() -> list[str]:
    """An address for each pattern, of a row that is there."""
    found = []
    for text, pattern in patterns(get_resolver("portal.urls.console")):
        if "(?P" in text:
            continue  # what catches all that is left, and the apps' pages
        _, app, model, *_ = [*text.split("/"), "", "", ""]
        given = str(_first(app, model)) if pattern.pattern.converters else ""
        found.append("/" + _filled_in(text, given))
    return [*found, "/admin/nowhere/", "/admin/pki/", "/admin/auth/"]


def _filled_in(text: str, given: str) -> str:
    return _CONVERTED.sub(lambda part: "der" if part[1] == "form" else given, text)


def _first(app: str, model: str) -> object:
    if app not in ("pki", "auth"):
        return 1
    row = apps.get_model(app, model).objects.order_by("pk").first()
    assert row is not None, f"the world has no {model}"
    return row.pk


@pytest.fixture
def every_address(world):
    found = addresses()
    assert len(found) > 150
    assert not [each for each in found if "<" in each]
    return found


def let_in(person, urls, allowed):
    """Where somebody is answered with a page, though not one that asks to log in."""
    wrong = {}
    for url in set(urls) - allowed:
        for ask in (person.get, lambda url: person.post(url, **PRESSED)):
            answer = ask(url)
            to_log_in = answer.status_code == 302 and answer["Location"].startswith("/admin/login/?next=")
            if not to_log_in and answer.status_code not in (403, 404, 405):
                wrong[url] = (answer.status_code, answer.headers.get("Location"))
    return wrong


def test_a_stranger_is_sent_to_log_in_from_every_address(every_address, world):
    before = everything()
    assert let_in(browser(None), every_address, FOR_ALL) == {}
    assert not done(before)


def test_who_has_no_permission_is_refused_at_every_address(every_address, world):
    """An address of one slash too few leads to the one with it, and tells nothing of what is there."""
    newcomer, before = browser(staff("newcomer")), everything()
    wrong = let_in(newcomer, every_address, FOR_STAFF)
    assert {url: to for url, to in wrong.items() if to[0] != 302 or not to[1].startswith(url)} == {}
    assert not done(before)


def test_who_is_no_staff_is_a_stranger(every_address, world):
    visitor = browser(User.objects.create_user("visitor", password="a-password"))
    assert let_in(visitor, every_address, FOR_ALL) == {}


def test_no_address_does_anything_for_a_form_of_another_site(every_address, unprotected, world):
    before, taken = everything(), {}
    for url in every_address:
        answer = unprotected.post(url, **PRESSED)
        if answer.status_code not in (403, 404):
            taken[url] = answer.status_code
    assert taken == {}
    assert not done(before)
