"""Every page of the console opens without complaint, passes axe, and fits a phone."""

import pytest
from playwright.sync_api import Error

from tests.browser.accessibility import grave_violations
from tests.browser.sitemap import ACTIONS, PAGES, PAGES_OF_AN_OBJECT, at
from tests.browser.visits import DESKTOP, PHONE
from tests.console.browser import changelist

# Screen, and whether it is dark.
LOOKS = {"light at a desk": (DESKTOP, False), "dark on a phone": (PHONE, True)}
NOT_FOR_A_GET = (403, 404, 405)
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
IS_DARK = "document.documentElement.classList.contains('dark')"
# Of the histories, which differ in nothing but their lines, two.
OF_AN_OBJECT = {
    page: name
    for page, name in PAGES_OF_AN_OBJECT.items()
    if not name.endswith("_history") or name in ("pki_device_history", "pki_issuer_history")
}


@pytest.fixture(scope="session")
def window(visits):
    """One window for all of these tests: they only look, and windows cost more than pages."""
    visits = visits()
    yield visits(screen=DESKTOP)
    visits.end()


@pytest.fixture
def console(window):
    window.watch.begin()
    yield window
    assert window.watch.unexpected == []


def wear(page, look):
    """Have a page as it stands look otherwise, by the console's own switch."""
    screen, dark = LOOKS[look]
    page.set_viewport_size(screen)
    for _ in range(2):
        if page.evaluate(IS_DARK) != dark:
            page.keyboard.press("Control+e")
    assert page.evaluate(IS_DARK) == dark


def assert_good(console):
    """What must hold of every page. It fits the screen in each look; axe, which spends most of its time on
    contrast, judges the pages by turns in the one and the other.
    """
    assert console.heading.count() == 1
    # As it came first: the switch is remembered, so the next page comes in the other one.
    looks = sorted(LOOKS, key=lambda look: LOOKS[look][1] != console.page.evaluate(IS_DARK))
    for look in looks:
        wear(console.page, look)
        assert console.page.evaluate(WIDER) <= 0, f"the page is wider than the screen, {look}"
    if violations := grave_violations(console.page):
        pytest.fail("\n\n".join([looks[-1], *violations]), pytrace=False)


def look_at(console, path):
    """Open an address and judge it, unless nothing is shown there: a download, or a place for a POST."""
    console.watch.expect(r"status of (403|404|405)")
    try:
        response = console.open(path)
    except Error as error:
        if "Download is starting" in error.message:
            return
        raise
    if response.status in NOT_FOR_A_GET:
        return
    assert response.status == 200
    assert_good(console)


@pytest.mark.parametrize("path", PAGES, ids=PAGES.values())
def test_a_page_is_good(console, path):
    look_at(console, path)


@pytest.mark.parametrize(("label", "route"), OF_AN_OBJECT, ids=OF_AN_OBJECT.values())
def test_a_page_of_an_object_is_good(console, rows, label, route):
    look_at(console, at(route, rows[label]))


@pytest.mark.parametrize(("model", "action"), ACTIONS.values(), ids=ACTIONS)
def test_the_page_on_which_an_action_asks_is_good(console, model, action):
    console.open(changelist(model))
    rows = console.page.get_by_role("row").get_by_role("checkbox")
    rows.nth(1).check()  # the first is for all
    console.page.get_by_label("Select action to run").select_option(value=action)
    assert_good(console)
    # A click does not wait for the page that it leads to, and axe fails on one that is not there yet.
    with console.page.expect_navigation():
        console.press("Run")
    assert_good(console)


def test_the_login_page_is_good_and_so_is_its_refusal(visit):
    console = visit(None)
    console.open("/admin/")
    assert_good(console)
    console.page.get_by_label("Username").fill("admin")
    console.page.get_by_label("Password").fill("not the password")
    console.press("Log in")
    console.sees("Please enter the correct")
    assert_good(console)


# Their template is one; what differs are columns and filters, which the pages above have.
@pytest.mark.parametrize("path", ["/admin/pki/device/", "/admin/pki/enrollmentrequest/", "/admin/auth/user/"])
def test_a_search_that_finds_nothing_is_good(console, path):
    console.open(f"{path}?q=nobody-is-called-so")
    assert_good(console)
