"""Every page of the console answers, escapes what strangers wrote, and shows no secret."""

import re

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.urls import reverse

from pki.admin.fleet.tokens import life_of
from pki.models import (
    AuditEvent,
    Certificate,
    Device,
    DeviceGroup,
    EnrollmentRequest,
    EnrollmentToken,
    Issuer,
    Profile,
    Revocation,
)
from pki.services.enrolling import tokens
from pki.templatetags.console import colons
from tests.console.browser import ONE_TOKEN, add, changelist, new_token, page, registered_models
from tests.services.cast import everything, set_policy

MODELS = registered_models()
of_each_model = pytest.mark.parametrize("model", MODELS, ids=[model.__name__ for model in MODELS])


def lists_and_pages():
    """The list of each model, and the page of a row of each."""
    for model in MODELS:
        yield changelist(model)
        yield from map(page, model.objects.all()[:1])


def test_all_that_hatchery_remembers_is_in_the_console():
    assert {
        AuditEvent,
        Certificate,
        Device,
        EnrollmentRequest,
        EnrollmentToken,
        Issuer,
        Profile,
        Revocation,
    } <= set(MODELS)


# --- They answer ----------------------------------------------------------------------------------


def test_the_front_page_and_the_login_page_answer(ada, stranger):
    assert ada.get(reverse("admin:index")).status_code == 200
    assert stranger.get(reverse("admin:login")).status_code == 200


@of_each_model
def test_a_list_answers_with_its_rows_and_so_does_a_search_for_anything(ada, world, model):
    everything_there_is = {"state__exact": "all"} if model is EnrollmentRequest else {}
    response = ada.get(changelist(model), **everything_there_is)
    assert response.status_code == 200
    assert len(response.context["cl"].result_list) == model.objects.count()
    for words in ("door", "two words", "%", "'", "\\", "2001:db8::1", "ä" * 100):
        assert ada.get(changelist(model), q=words).status_code == 200, words
    for query in ("q", "kind", "state", "o"):
        assert ada.get(changelist(model), **{query: "a\0b"}).status_code == 400, query


FOUND = {
    "a device by its name": (Device, lambda world: "door", lambda world: world.door),
    "a certificate by its name": (Certificate, lambda world: "gate", lambda world: world.other),
    "a certificate by its serial": (
        Certificate,
        lambda world: world.other.serial[:12],
        lambda world: world.other,
    ),
    "a certificate by its fingerprint": (
        Certificate,
        lambda world: world.other.fingerprint[:12],
        lambda world: world.other,
    ),
    "a request by its name": (EnrollmentRequest, lambda world: "sensor-1", lambda world: world.waiting),
    "a token by its device": (EnrollmentToken, lambda world: "door", lambda world: world.token),
}


@pytest.mark.parametrize(("model", "words", "row"), FOUND.values(), ids=FOUND)
def test_a_search_finds_what_begins_so_and_leaves_out_what_does_not(ada, world, model, words, row):
    found = list(ada.get(changelist(model), q=words(world)).context["cl"].queryset)
    assert row(world) in found
    assert len(found) < model.objects.count()


@of_each_model
def test_every_filter_of_a_list_and_every_order_answers(ada, world, model):
    shown = ada.get(changelist(model)).context["cl"]
    links = [choice["query_string"] for spec in shown.filter_specs for choice in spec.choices(shown)]
    links += [f"?o=-{column}" for column in range(len(shown.list_display))]
    for link in set(links):
        assert ada.get(f"{changelist(model)}{link}").status_code == 200, link


SCANS = {
    Certificate: ("common_name__contains", "sans__icontains", "device__name", "der__isnull"),
    AuditEvent: ("detail__icontains", "actor__contains", "count__gt"),
    EnrollmentToken: ("digest__startswith", "name_pattern__contains", "device__name__contains"),
    EnrollmentRequest: ("csr_der__isnull", "reason__icontains", "state__in"),
    Device: ("name__contains", "subject__icontains", "state__contains", "profile__name", "no_such_field"),
}


@pytest.mark.parametrize("model", SCANS, ids=lambda model: model.__name__)
def test_an_address_narrows_a_list_as_its_filters_do_and_no_other_way(ada, world, model, capfd):
    for lookup in SCANS[model]:
        assert ada.get(changelist(model), **{lookup: "1"}).status_code == 400, lookup
    assert "Traceback" not in capfd.readouterr().err


LINKED = {
    Certificate: ("device__id__exact", "issuer__id__exact", "profile__id__exact"),
    AuditEvent: ("device__id__exact", "certificate__id__exact"),
    Device: ("profile__id__exact", "state__exact"),
    Profile: ("enrollment_policy__exact",),
}


@pytest.mark.parametrize("model", LINKED, ids=lambda model: model.__name__)
def test_what_the_consoles_links_ask_of_a_list_is_answered(ada, world, model):
    for lookup in LINKED[model]:
        value = {"state__exact": "active", "enrollment_policy__exact": "token"}.get(lookup, "1")
        assert ada.get(changelist(model), **{lookup: value}).status_code == 200, lookup


def test_the_history_of_a_device_is_what_the_audit_log_has_of_it(ada, world):
    address = ada.get(page(world.door, "history"))["Location"]
    events = ada.get(address).context["cl"].result_list
    assert events
    assert {event.device_id for event in events} == {world.door.pk}


def test_an_empty_list_says_what_to_do_and_a_search_that_finds_nothing_how_to_go_back(ada):
    for model in MODELS:
        html = ada.get(changelist(model)).content.decode()
        assert "yielded" not in html, model
        if not model.objects.exists() and model is not EnrollmentRequest:
            assert "Nothing here yet" in html, model
        html = ada.get(changelist(model), q="nobody-is-called-so").content.decode()
        assert "Reset the search and the filters" in html, model
    assert "Register the first" in ada.get(changelist(Device)).content.decode()
    assert "Make one on the page of a device" in ada.get(changelist(EnrollmentToken)).content.decode()


def test_a_page_is_called_as_the_sidebar_calls_it(ada, world):
    for model, name in (
        (Device, "Devices"),
        (DeviceGroup, "Groups"),
        (EnrollmentRequest, "Inbox"),
        (EnrollmentToken, "Tokens"),
        (AuditEvent, "Audit log"),
        (Group, "Roles"),
    ):
        html = ada.get(changelist(model)).content.decode()
        assert re.search(rf"<title>\s*{name} \|", html), name
        assert re.search(rf">\s*{name}\s*<", html[html.index("<h1") : html.index("</h1>")]), name


@of_each_model
def test_the_page_of_every_row_answers_and_the_history_of_the_first(ada, world, model):
    rows = model.objects.all()
    for row in rows:
        assert ada.get(page(row)).status_code == 200
    for row in rows[:1]:
        told = ada.get(page(row, "history"))
        if model in (Group, User):  # Django keeps what was done to them
            assert told.status_code == 200
            continue
        assert told.status_code == 302
        assert ada.get(told["Location"]).status_code == 200
        assert told["Location"].startswith(changelist(AuditEvent))


@pytest.mark.parametrize("standing", ["valid", "revoked", "expired"])
def test_certificates_are_filtered_by_their_standing(ada, world, standing):
    found = set(ada.get(changelist(Certificate), standing=standing).context["cl"].queryset)
    assert (world.certificate in found) is (standing == "valid")
    assert (world.doomed in found) is (standing == "revoked")
    assert found


@pytest.mark.parametrize("life", ["usable", "used up", "expired", "cancelled"])
def test_tokens_are_filtered_by_their_life(ada, world, life):
    found = set(ada.get(changelist(EnrollmentToken), life=life).context["cl"].queryset)
    assert found
    assert found == {token for token in EnrollmentToken.objects.all() if life_of(token) == life}


@pytest.mark.parametrize("model", [Device, Profile])
def test_what_may_be_added_has_a_form(ada, model):
    assert ada.get(add(model)).status_code == 200


def test_a_certificates_page_shows_what_it_is(ada, world):
    html = ada.get(page(world.doomed)).content.decode()
    for shown in ("superseded: a newer", colons(world.doomed.serial), "BEGIN CERTIFICATE", "CN = door-1"):
        assert shown in html


def test_a_row_that_is_not_there_is_no_error_of_the_server(ada):
    for model in MODELS:
        for key in ("nonsense", "999999", "0", "9" * 30):
            assert ada.get(f"{changelist(model)}{key}/change/").status_code < 500, (model, key)


# --- Who may see them -----------------------------------------------------------------------------


def test_a_stranger_is_sent_to_the_login_page(stranger, world):
    for url in lists_and_pages():
        response = stranger.get(url)
        assert response.status_code == 302, url
        assert response["Location"].startswith(reverse("admin:login"))


def test_staff_without_a_permission_sees_nothing(newcomer, world):
    for url in lists_and_pages():
        assert newcomer.get(url).status_code == 403, url


def test_who_may_look_sees_the_lists_and_the_pages(viewer, world):
    for model in registered_models("pki"):
        for url in (changelist(model), *map(page, model.objects.all()[:3])):
            assert viewer.get(url).status_code == 200, url


def test_without_tls_nothing_is_shown(ca, client):
    response = client.get(reverse("admin:login"))
    assert response.status_code == 301
    assert response["Location"].startswith("https://")


def test_the_session_goes_over_tls_alone_and_to_no_script(ca, client):
    response = client.post(
        reverse("admin:login"), {"username": "admin", "password": "a-password"}, secure=True
    )
    cookie = response.cookies[settings.SESSION_COOKIE_NAME]
    assert cookie["secure"]
    assert cookie["httponly"]


def test_no_page_may_be_framed(ada):
    assert ada.get(reverse("admin:index"))["X-Frame-Options"] == "DENY"


# --- What they show -------------------------------------------------------------------------------


def look_at_everything(browser):
    """Every page that a GET reaches, those with a query string included."""
    browser.get(reverse("admin:index"))
    for model in MODELS:
        browser.get(changelist(model))
        browser.get(changelist(model), q="door")
        for row in model.objects.all():
            browser.get(page(row))
        for row in model.objects.all()[:1]:
            browser.get(page(row, "history"))
    for model in (Device, Profile):
        browser.get(add(model))


def test_what_a_stranger_wrote_is_shown_as_text(ada, world):
    look_at_everything(ada)
    assert any("&lt;script&gt;alert(1)" in html for html in ada.pages), "it is shown"
    assert not [html for html in ada.pages if "<script>alert(1)" in html]


def test_no_page_shows_a_secret(ada, world):
    confirmed = ada.confirm(ada.get(new_token(world.door)), new_token(world.door), **ONE_TOKEN)
    shown_once = confirmed.context["secret"]
    ada.pages.clear()
    look_at_everything(ada)
    ada.act(Certificate, "revoke_selected", world.certificate)
    ada.act(EnrollmentRequest, "approve_selected", world.waiting)
    secrets = {
        "a private key": "PRIVATE KEY",
        "the passphrase": settings.PORTAL_KEY_PASSPHRASE,
        "the secret key": settings.SECRET_KEY,
        "a token": world.secret,
        "the token that was just shown": shown_once,
        "any token": tokens.PREFIX,
        "a session": ada.client.cookies[settings.SESSION_COOKIE_NAME].value,
    }
    assert len(ada.pages) > 50
    for what, secret in secrets.items():
        assert not [html for html in ada.pages if secret in html], what


def test_looking_at_everything_changes_nothing(ada, world):
    before = everything()
    look_at_everything(ada)
    assert everything() == before


# --- Open enrollment ------------------------------------------------------------------------------

RED_LABEL = "OPEN ENROLLMENT: device"


def test_an_open_profile_is_said_on_every_page(ada, world):
    set_policy(Profile.Policy.OPEN)
    for url in (reverse("admin:index"), *lists_and_pages(), add(Device), new_token(world.door)):
        assert RED_LABEL in ada.get(url).content.decode(), url


@pytest.mark.parametrize("policy", [Profile.Policy.TOKEN, Profile.Policy.APPROVAL])
def test_while_no_profile_is_open_nothing_is_said(ada, policy):
    set_policy(policy)
    for url in (reverse("admin:index"), changelist(Profile)):
        assert "OPEN ENROLLMENT" not in ada.get(url).content.decode()


def test_a_stranger_is_not_told_that_a_profile_is_open(stranger):
    set_policy(Profile.Policy.OPEN)
    assert RED_LABEL not in stranger.get(reverse("admin:login")).content.decode()
