"""A real server, a real browser; without a Chromium these tests are skipped, and it is said."""

import json
import os
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from tests.browser import chromium, fleet
from tests.browser.visits import Shared, Visits
from tests.server import Server

HERE = Path(__file__).parent
_FAILED = pytest.StashKey[bool]()


def pytest_collection_modifyitems(config, items):
    ours = [item for item in items if HERE in item.path.parents]
    # Playwright's event loop stays in the main thread, where Django then runs no query: they come last.
    items[:] = [item for item in items if item not in ours] + ours
    if ours and chromium.find() is None:
        if chromium.is_required():
            raise pytest.UsageError(f"The browser tests are required, but {chromium.ADVICE}")
        for item in ours:
            item.add_marker(pytest.mark.skip(reason=chromium.ADVICE))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    item.stash[_FAILED] = item.stash.get(_FAILED, False) or report.failed
    return report


@pytest.fixture(scope="session")
def playwright():
    # Its loop goes on in this thread, where Django would ask no database then. Other tests may follow here.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "on"
    with sync_playwright() as running:
        yield running
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """One server with a fleet for all these tests; each of them makes the devices that it changes."""
    running = Server(tmp_path_factory.mktemp("browser"), {"PORTAL_ADMIN_PASSWORD": fleet.PASSWORD}).start()
    yield running
    assert running.stop() == 0, running.output()


@pytest.fixture(scope="session")
def rows(server):
    """The fleet, made: for each model its row that has the most to show, by the model's label."""
    return json.loads(fleet.make_in(server))


@pytest.fixture(scope="session")
def browser(playwright, server):
    running = chromium.launch(playwright, (server.demo / "ca-chain.pem").read_bytes())
    yield running
    running.close()


@pytest.fixture(scope="session")
def visits(browser, server, rows):
    """Makes `Visits` that share what was logged in."""
    return partial(Visits, browser, server.url("console", ""), fleet.PASSWORDS, Shared())


@pytest.fixture
def visit(visits, request, tmp_path):
    """`visit()` opens the console for administrators, `visit("olga")` for Olga, `visit(None)` for nobody."""
    visits = visits()
    yield visits
    if request.node.stash.get(_FAILED, False):
        visits.photograph(tmp_path)
    assert visits.end() == []
