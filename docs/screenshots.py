"""Pictures of the console, of a small fleet: `python -m docs.screenshots FOLDER`, or `make screenshots TO=…`.

Each page at a desk and on a phone, light and dark, in files called like `device_changelist-phone-dark.png`.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import django

# The site map is read from the console's URLs; the server has settings of its own.
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
django.setup()

from playwright.sync_api import sync_playwright  # noqa: E402

from tests.browser import chromium, fleet  # noqa: E402
from tests.browser.sitemap import PAGES, PAGES_OF_AN_OBJECT, at  # noqa: E402
from tests.browser.visits import DESKTOP, PHONE, Visits  # noqa: E402
from tests.server import Server  # noqa: E402

SCREENS = {"desktop": DESKTOP, "phone": PHONE}
SCHEMES = ("light", "dark")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("pages", nargs="*", help="words in the names of the pages to take (all of them)")
    chosen = parser.parse_args()
    if chromium.find() is None:
        sys.exit(f"No pictures: {chromium.ADVICE}")
    chosen.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="hatchery-screenshots-") as data:
        server = Server(Path(data), {"PORTAL_ADMIN_PASSWORD": fleet.PASSWORD}).start()
        try:
            rows = json.loads(fleet.make_in(server))
            _photograph(server, rows, chosen.folder, chosen.pages)
        finally:
            server.stop()


def _photograph(server: Server, rows: dict[str, str], folder: Path, words: list[str]) -> None:
    paths = {name: path for name, path in _pages(rows).items() if not words or any(w in name for w in words)}
    with sync_playwright() as playwright:
        browser = chromium.launch(playwright, (server.demo / "ca-chain.pem").read_bytes())
        visits = Visits(browser, server.url("console", ""), fleet.PASSWORDS, {})
        for screen, size in SCREENS.items():
            for scheme in SCHEMES:
                console = visits(screen=size, scheme=scheme)
                for name, path in paths.items():
                    if console.open(path).ok:
                        console.page.screenshot(path=folder / f"{name}-{screen}-{scheme}.png")
        visits.end()
        browser.close()


def _pages(rows: dict[str, str]) -> dict[str, str]:
    """Names of pictures, and the addresses of their pages."""
    alone = {name.removeprefix("pki_"): path for path, name in PAGES.items()}
    of_objects = {
        name.removeprefix("pki_"): at(route, rows[label])
        for (label, route), name in PAGES_OF_AN_OBJECT.items()
        if label in rows
    }
    return alone | of_objects


if __name__ == "__main__":
    main()
