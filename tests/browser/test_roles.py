"""Who may do what, tried by button and by address: the server decides, whatever a page offers."""

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from pki.models import Device, EnrollmentToken, Issuer, Profile, RevocationList
from tests.console.browser import add, changelist

# Adding, changing and deleting, of what an Operator must not touch.
FORBIDDEN = {
    f"{verb} {model.__name__}": (model, verb)
    for model in (Issuer, Profile, User)
    for verb in ("add", "change", "delete")
}
_POST = """async (path) => {
    const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
    const body = new URLSearchParams({ csrfmiddlewaretoken: token, post: "yes", name: "taken over" });
    return (await fetch(path, { method: "POST", body, redirect: "manual" })).status;
}"""


def address(model, verb, rows):
    return add(model) if verb == "add" else f"{changelist(model)}{rows[model._meta.label]}/{verb}/"


@pytest.mark.parametrize(("model", "verb"), FORBIDDEN.values(), ids=FORBIDDEN)
def test_an_operator_cannot_touch_authorities_and_people_by_address(visit, rows, model, verb):
    olga = visit("olga")
    olga.watch.expect("status of 403|favicon.ico")  # Django's page for it names no icon
    path = address(model, verb, rows)
    looks = model is not User and verb == "change"  # may see the page; it has no form to send
    assert olga.open(path).status == (200 if looks else 403)

    olga.open(add(Device))  # a page with a CSRF token that is good
    assert olga.page.evaluate(_POST, path) == 403


def test_the_same_post_of_an_administrator_is_not_forbidden(visit, rows):
    ada = visit("admin")
    ada.open(add(Device))
    assert ada.page.evaluate(_POST, add(Profile)) == 200  # the form again, with what is wrong in it


@pytest.mark.parametrize("model", [Issuer, Profile])
def test_an_operator_finds_no_button_to_change_authorities(visit, rows, model):
    olga = visit("olga")
    olga.open(changelist(model))
    expect(olga.page.get_by_role("row").nth(1)).to_be_visible()
    expect(olga.page.locator(f'a[href^="{add(model)}"]')).to_have_count(0)
    expect(olga.page.get_by_label("Select action to run")).to_have_count(0)
    olga.open(address(model, "change", rows))
    for button in ("Save", "Delete", "Save and continue editing", "Rotate", "Retire"):
        expect(olga.page.get_by_role("button", name=button, exact=True)).to_have_count(0)
        expect(olga.page.get_by_role("link", name=button, exact=True)).to_have_count(0)


@pytest.mark.parametrize(("user", "may"), [("olga", True), ("carl", True), ("vera", False), ("ahmed", False)])
def test_lists_are_published_by_who_may_and_by_nobody_else(visit, rows, user, may):
    console = visit(user)
    console.watch.expect("status of 403|favicon.ico")
    for model in (Issuer, RevocationList):
        path = address(model, "publish", rows)
        console.open(address(model, "change", rows))
        assert (console.page.locator(f'a[href="{path}"]').count() > 0) is may
        assert console.open(path).status == (200 if may else 403)
        console.open_named("password_change")  # a page with a CSRF token that is good
        assert console.page.evaluate(_POST, path) == (200 if may else 403)  # not confirmed: asked again


def test_an_operator_has_the_buttons_for_devices_and_a_viewer_has_none(visit):
    for user, has in (("olga", True), ("vera", False)):
        console = visit(user)
        console.open(changelist(Device))
        assert (console.page.locator(f'a[href^="{add(Device)}"]').count() > 0) is has
        console.open(changelist(EnrollmentToken))
        assert (console.page.get_by_label("Select action to run").count() > 0) is has
