"""The built site in a browser, from its files: drawn, quiet, alone, on a desk and on a phone."""

import pytest

from tests.docs.site import built
from tests.server import ROOT

DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
# Tables of many columns, long lines of shell, pictures; and a diagram of each kind.
PAGES = [
    "docs/index",
    "README",
    "docs/concepts/tls",
    "docs/concepts/files",
    "docs/proxies",
    "docs/console",
    "docs/status",
    "docs/security",
    "docs/reference/endpoints",
    "docs/reference/errors",
    "examples/nginx/README",
]


@pytest.fixture(scope="module")
def site():
    return built()


def diagrams(name):
    source = ROOT / f"{name}.md"
    return source.read_text().count("```mermaid\n") if source.is_file() else 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_drawn_and_load_nothing_from_elsewhere(browser, site, scheme):
    context = browser.new_context(viewport=DESK, color_scheme=scheme)
    page = context.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text) if message.type != "log" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    context.on("request", lambda request: asked.append(request.url))
    drawn = 0
    # How wide a page is has nothing to do with its colours.
    for name in PAGES if scheme == "light" else filter(diagrams, PAGES):
        page.goto((site / f"{name}.html").as_uri())
        page.wait_for_function("document.querySelectorAll('pre.mermaid:not([data-drawn])').length === 0")
        assert page.locator("pre.mermaid > svg").count() == diagrams(name), name
        drawn += diagrams(name)
        page.set_viewport_size(PHONE)
        wide = page.evaluate("document.scrollingElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{name} scrolls sideways by {wide} px"
        page.set_viewport_size(DESK)
    assert drawn > 6
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    context.close()


def test_diagrams_are_drawn_anew_when_the_reader_changes_the_colours(browser, site):
    context = browser.new_context(viewport=DESK, color_scheme="light")
    page = context.new_page()
    page.goto((site / "docs/concepts/tls.html").as_uri())
    diagram = page.locator("pre.mermaid > svg").first
    diagram.wait_for()
    before = diagram.inner_html()
    page.evaluate("document.body.dataset.theme = 'dark'")
    page.wait_for_function(
        "(before) => document.querySelector('pre.mermaid > svg').innerHTML !== before", arg=before
    )
    context.close()


def test_the_sites_address_leads_to_its_first_page_and_its_search_finds(browser, site):
    context = browser.new_context(viewport=DESK)
    page = context.new_page()
    page.goto((site / "index.html").as_uri())
    page.wait_for_url("**/docs/index.html")
    page.goto((site / "search.html").as_uri() + "?q=PORTAL_STATUS_MAX_AGE")
    page.locator("#search-results a", has_text="Settings").first.wait_for()
    context.close()
