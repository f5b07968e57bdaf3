"""The site that `make docs` has built: its folder, its pages, and where their links lead."""

import os
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.server import ROOT

FOLDER = ROOT / "site"


def built() -> Path:
    """The folder of the built site; without it the test is skipped, or fails if HATCHERY_TOOLS=required."""
    if (FOLDER / "index.html").is_file():
        return FOLDER
    reason = "the site is not built; run: make docs"
    if os.environ.get("HATCHERY_TOOLS") == "required":
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass
class Page(HTMLParser):
    """A page: its anchors, what it links to, and what it loads."""

    path: Path
    anchors: set[str] = field(default_factory=set)
    links: set[str] = field(default_factory=set)
    loads: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.path.read_text())

    def __hash__(self) -> int:
        return hash(self.path)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value for name, value in attrs if value}
        if "id" in found:
            self.anchors.add(found["id"])
        if tag == "a" and "href" in found:
            self.links.add(found["href"])
        elif tag == "link" and found.get("rel") in ("stylesheet", "icon", "preload"):
            self.loads.add(found["href"])
        elif "src" in found:
            self.loads.add(found["src"])

    def target(self, link: str) -> tuple[Path, str]:
        """The file and the anchor that a link of this page leads to."""
        parts = urlsplit(link)
        there = (self.path.parent / unquote(parts.path)).resolve() if parts.path else self.path
        return there, unquote(parts.fragment)


def pages(folder: Path) -> list[Page]:
    return [Page(path) for path in sorted(folder.rglob("*.html"))]


def is_elsewhere(link: str) -> bool:
    return bool(urlsplit(link).scheme or urlsplit(link).netloc)
