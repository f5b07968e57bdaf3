"""docs/security.md: no claim is without a test, the tests are there, nothing that can be lost is left out."""

import re

import pytest

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
    "A balancer that is named",
    "The way to the status listener",
    "A backup file",
    "A listener's key",
]


def test_every_test_that_a_page_names_is_there():
    """On this page, and on all others."""
    pages = {path.name: path.read_text() for path in (ROOT / "docs").rglob("*.md")}
    there = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)\(", path.read_text(), re.M)
    }
    named = {name: set(re.findall(r"`(test_\w+)`", page)) for name, page in pages.items()}
    assert len(named["security.md"]) > 80
    assert not {name: tests - there for name, tests in named.items() if tests - there}
    files = {file for page in pages.values() for file in re.findall(r"`(tests/[\w/]+\.py)`", page)}
    assert not [file for file in files if not (ROOT / file).is_file()]


def test_it_says_of_each_part_what_its_loss_means():
    assert re.findall(r"^### (.*)$", PAGE, re.M) == LOST


def part(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize(
    ("title", "rows"), [("What is to be protected", 8), ("Who attacks, and from where", 30)]
)
def test_every_row_names_what_shows_it(title, rows):
    lines = [line for line in part(title).splitlines() if line.startswith("|")][2:]
    assert len(lines) >= rows
    assert not [line for line in lines if "`test_" not in line]


def test_every_kind_of_attack_names_it_in_its_own_column():
    lines = [line for line in part("Who attacks, and from where").splitlines() if line.startswith("|")][2:]
    assert not [line for line in lines if "`test_" not in line.split("|")[4]]


def test_what_is_trusted_is_shown_or_said_to_be_assumed():
    trusted = part("What is trusted").split("\n- ")[1:]
    assert len(trusted) >= 7
    assert not [each for each in trusted if "`test_" not in each and "*assumed*" not in each.lower()]


def test_every_part_that_can_be_lost_names_what_shows_what_is_said_of_it():
    parts = part("If a part is lost").split("\n### ")[1:]
    assert len(parts) == len(LOST)
    assert not [each.partition("\n")[0] for each in parts if "`test_" not in each]


def test_the_page_has_no_other_parts_in_which_something_could_be_claimed():
    assert re.findall(r"^## (.*)$", PAGE, re.M) == [
        "What is to be protected",
        "What is trusted",
        "Who attacks, and from where",
        "If a part is lost",
        "What Hatchery does not do",
    ]
