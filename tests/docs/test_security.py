"""docs/security.md: the tests that it names are there, and nothing that can be lost is left out."""

import re

from tests.server import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text()
# What the page has a part on, if it is lost.
LOST = [
    "A device's key",
    "A token",
    "An issuing CA's key",
    "The root's key",
    "The keystore's passphrase",
    "The database, read",
    "The database, written",
    "An administrator's session or password",
    "A node",
    "A proxy that is named",
    "The way to the status listener",
    "A backup file",
    "A listener's key",
]


def test_every_test_that_the_page_names_is_there():
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    there = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)\(", path.read_text(), re.M)
    }
    assert len(named) > 30
    assert named <= there, named - there


def test_it_says_of_each_part_what_its_loss_means():
    assert re.findall(r"^### (.*)$", PAGE, re.M) == LOST


def test_every_kind_of_attack_names_what_shows_that_it_fails():
    table = PAGE.partition("## Who attacks, and from where")[2].partition("\n## ")[0]
    rows = [row.split("|") for row in table.splitlines() if row.startswith("|")][2:]
    assert len(rows) > 10
    assert not [row for row in rows if "`test_" not in row[4]]
