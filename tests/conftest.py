"""A certificate authority for each test that wants one, and one real server for those that need sockets."""

import os
import shutil
import tempfile
from collections import Counter
from datetime import UTC, datetime
from functools import partial

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import settings as hypothesis_settings

from pki.keystore import keystore
from pki.models.immutable import KEPT
from pki.services import limits
from pki.services.audit import Actor
from pki.services.complaints import COMPLAINTS
from pki.services.enrolling import refusals
from pki.services.issuing import bootstrap
from pki.services.publishing import ocsp_answers
from tests import snapshots, tables

SERVED = {
    "agent",
    "deployments",
    "examples",
    "live",
    "phones",
    "proxies",
    "shell",
}  # folders whose modules have servers of their own


# The same examples each time: what passed here passes there. HATCHERY_EXPLORE=1 looks for others.
hypothesis_settings.register_profile("repeated", derandomize=True)
hypothesis_settings.load_profile("default" if os.environ.get("HATCHERY_EXPLORE") else "repeated")


def pytest_configure(config):
    if tables.SHARED not in os.environ:  # else this is a process of such a run
        os.environ[tables.SHARED] = folder = tempfile.mkdtemp(prefix="hatchery-tables-")
        config.add_cleanup(partial(shutil.rmtree, folder))


@pytest.fixture(scope="session")
def django_db_keepdb(django_db_modify_db_settings):
    """Have the tables there, where that is a copy of a file: else each process migrates for itself."""
    if connection.vendor != "sqlite":
        return False
    shutil.copy(tables.empty(), connection.settings_dict["TEST"]["NAME"])
    return True


# First: xdist reads the marks in a hook of its own.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Tests that share a server of their module's own run in one process: each would start one for itself."""
    for item in items:
        if item.path.parent.name in SERVED and item.get_closest_marker("xdist_group") is None:
            kind = item.callspec.params.get("kind", "") if hasattr(item, "callspec") else ""
            item.add_marker(pytest.mark.xdist_group(f"{item.path.stem} {kind}".strip()))
    # In two processes: each starts a server with a fleet, and a browser.
    in_a_browser = [item for item in items if item.path.parent.name == "browser"]
    for number, item in enumerate(in_a_browser):
        item.add_marker(pytest.mark.xdist_group(f"browser {number * 2 // len(in_a_browser)}"))


@pytest.fixture(autouse=True)
def _refusals_are_apart(monkeypatch):
    """Two refusals of a test never fall into one row by chance; tests of the folding set it anew."""
    monkeypatch.setattr(refusals, "KEPT_APART", 2**60)


@pytest.fixture(autouse=True)
def _nothing_was_said_before():
    """What one test has logged is no reason to be silent in the next one."""
    COMPLAINTS.forget()


@pytest.fixture(autouse=True)
def _nobody_is_limited():
    """Who has reached a limit in one test has not in the next one."""
    limits.forget()


@pytest.fixture
def actor() -> Actor:
    return Actor("shell:test")


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def moment() -> datetime:
    """A moment that never moves."""
    return datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def ca(db, settings, tmp_path, actor, now):
    """A bootstrapped authority in a data directory of its own."""
    settings.PORTAL_DATA_DIR = tmp_path
    keystore.cache_clear()
    ocsp_answers.forget()

    def make():
        bootstrap.bootstrap(
            tmp_path, ["hello", "secure"], ["localhost", "127.0.0.1"], "a-password", actor, now
        )

    snapshots.made("ca", tmp_path, now, make)
    yield tmp_path
    keystore.cache_clear()


@pytest.fixture(autouse=True)
def _kept_rows_go_in_the_end(request):
    """A test with real transactions is cleaned up by emptying the tables, which their triggers refuse."""
    marker = request.node.get_closest_marker("django_db")
    if marker is None or not marker.kwargs.get("transaction"):
        yield
        return
    request.getfixturevalue("transactional_db")
    yield
    with connection.cursor() as cursor:
        for table in KEPT:  # made again once the tables are empty, by post_migrate
            if connection.vendor == "sqlite":
                cursor.execute(f"DROP TRIGGER IF EXISTS {table}_kept")
            else:
                cursor.execute(f"DROP TRIGGER IF EXISTS {table}_not_emptied ON {table}")


def pytest_terminal_summary(terminalreporter):
    """One line for each reason for which tests were skipped: nothing is left out in silence."""
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", ())
        if isinstance(report.longrepr, tuple)
    )
    for reason, number in reasons.most_common():
        terminalreporter.write_line(f"{number} skipped: {reason}", yellow=True)
