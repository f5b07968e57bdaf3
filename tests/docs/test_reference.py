"""docs/reference/ is what the code says, and says all of it."""

import re

import pytest
from django.apps import apps
from django.core.management import get_commands

from docs.generating.commands import OURS
from docs.generating.pages import FOLDER, PAGES
from docs.generating.settings import ROOT, names
from tests.endpoints.problems import refusals


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_code_says(name):
    assert (FOLDER / name).read_text() == PAGES[name](), "Run: make reference"


def test_there_is_no_page_that_nobody_writes():
    assert {path.name for path in FOLDER.iterdir()} == set(PAGES)


def test_every_setting_that_is_read_is_on_the_page():
    """Those of Hatchery, as .env.example has them; `DJANGO_READ_DOT_ENV` is the tests' own."""
    source = (ROOT / "portal" / "settings.py").read_text()
    read = set(
        re.findall(r"\"([A-Z][A-Z_]+)\"(?:, |\))", "\n".join(re.findall(r"(?:env\.|= )\w+\(.*", source)))
    )
    read &= set(
        re.findall(r"\b(?:PORTAL_\w+|SECRET_KEY|DATABASE_URL|EMAIL_URL|DEBUG|WEB_CONCURRENCY)\b", source)
    )
    page = (FOLDER / "settings.md").read_text()
    assert read
    assert not [name for name in read | set(names()) if f"`{name}=" not in page]


def test_every_command_is_on_the_page():
    page = (FOLDER / "commands.md").read_text()
    ours = [name for name, app in get_commands().items() if app in OURS]
    assert ours
    assert not [name for name in ours if f"## `{name}`" not in page]


def test_every_code_of_a_refusal_is_on_the_page():
    page = (FOLDER / "errors.md").read_text()
    layers = ("pki.core.", "pki.services.", "pki.endpoints.")
    codes = {kind.code for kind in refusals() if kind.__module__.startswith(layers)}
    # Whose subclasses alone are raised.
    assert not [
        code for code in codes - {"ocsp_refused", "certificate_refused"} if f"| `{code}` |" not in page
    ]


def test_every_table_is_on_the_page():
    page = (FOLDER / "models.md").read_text()
    tables = [model._meta.db_table for model in apps.get_app_config("pki").get_models()]
    assert tables
    assert not [name for name in tables if f"Table `{name}`" not in page]
