"""The built site: complete, whole, and on its own."""

import re
from pathlib import Path

import pytest

from docs.site.links import to_readmes
from docs.site.menu import MENU
from tests.docs.site import built, is_elsewhere, pages
from tests.server import ROOT


@pytest.fixture(scope="module")
def site():
    return built()


@pytest.fixture(scope="module")
def found(site):
    return {page.path: page for page in pages(site)}


def sources():
    """The pages that a reader of the repository finds."""
    return [
        path.relative_to(ROOT).with_suffix("")
        for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md")
        for path in ROOT.glob(pattern)
        if "node_modules" not in path.parts
    ]


def test_every_page_is_in_the_menu_once():
    listed = [page.rpartition("<")[2].removesuffix(">") for part in MENU.values() for page in part]
    assert sorted(listed) == sorted(str(page) for page in sources() if str(page) != "docs/index")


def test_every_page_is_in_the_site(site, found):
    missing = [page for page in sources() if (site / page).with_suffix(".html") not in found]
    assert missing == [], "Run: make docs"


def test_every_link_leads_to_a_file_and_an_anchor_that_are_there(found):
    """Sphinx looks at those of the pages; these are the built ones, with the menu's and the theme's."""
    broken, followed = [], 0
    for page in found.values():
        for link in page.links | page.loads:
            if is_elsewhere(link):
                continue
            there, anchor = page.target(link)
            followed += 1
            known = found[there].anchors if there in found else {anchor}
            if not there.is_file() or (anchor and anchor not in known):
                broken.append((str(page.path), link))
    assert followed > len(found)
    assert broken == []


def test_nothing_is_loaded_from_elsewhere(site, found):
    assert not [load for page in found.values() for load in page.loads if is_elsewhere(load)]
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(?:https?:)?//|@import", sheet.read_text()), sheet


def test_links_to_files_of_the_repository_bring_these_along(site):
    """A proxy's configuration, as its README links to it."""
    wanted = (ROOT / "examples/nginx/ask-hatchery.conf").read_bytes()
    assert [path for path in site.glob("_downloads/*/ask-hatchery.conf") if path.read_bytes() == wanted]


@pytest.mark.parametrize(
    ("link", "becomes"),
    [
        ("[the agent](../examples/agent/)", "[the agent](../examples/agent/README.md)"),
        ("[it](../examples/agent/#x)", "[it](../examples/agent/README.md#x)"),
        ("[`docs`](../docs/)", "`docs`"),  # a folder without a README
        ("[gone](../examples/gone/)", "[gone](../examples/gone/)"),  # which stops the build
        ("[a page](status.md#which)", "[a page](status.md#which)"),
        ("[elsewhere](https://example.com/)", "[elsewhere](https://example.com/)"),
    ],
)
def test_a_link_to_a_folder_leads_to_its_readme(link, becomes):
    assert to_readmes(link, Path(ROOT / "docs")) == becomes
