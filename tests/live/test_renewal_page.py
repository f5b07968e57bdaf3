"""docs/renewal.md, as written: its lines and what they print, and that it knows every code."""

import re

import pytest

from pki.services.proving import status
from pki.services.renewing import renewal
from tests.live.pages import page, walk
from tests.server import Server

PAGE = page("renewal.md")
KINDS = [renewal.SameKeyRefused, renewal.TooManyRenewals, *status.NotStanding.__subclasses__()]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """What `make serve` has just made."""
    running = Server(tmp_path_factory.mktemp("page")).start()
    yield running
    assert running.stop() == 0, running.output()


def test_the_shell_lines_of_the_page_print_what_it_says(fresh):
    walk(fresh, PAGE)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.code)
def test_the_page_says_what_to_do_about_each_code(kind):
    rows = re.findall(r"^\| [0-9, ]+ \| (.*?) \|", PAGE, re.M)
    assert f"`{kind.code}`" in " ".join(rows)
