"""The console as a person finds their way in it: by headings, labels and the names of buttons."""

import re
from dataclasses import dataclass
from pathlib import Path

from django.db.models import Model
from django.urls import reverse
from playwright.sync_api import Locator, Page, Response, expect

from tests.browser.watch import Watch
from tests.console.browser import changelist

TOKEN = re.compile(r"\bhatch_[\w-]{20,}")
_MENU = "Select action to run"


@dataclass
class Console:
    """One window."""

    page: Page
    watch: Watch

    # --- Getting somewhere ---

    def open(self, path: str) -> Response:
        response = self.page.goto(path)
        assert response is not None
        return response

    def open_named(self, name: str, *arguments: object) -> Response:
        """A page by its URL name in the console."""
        return self.open(reverse(f"admin:{name}", args=arguments))

    def open_list(self, model: type[Model], search: str = "") -> None:
        self.open(changelist(model) + (f"?q={search}" if search else ""))

    def log_in(self, user: str, password: str) -> None:
        self.open_named("login")
        self.page.get_by_label("Username").fill(user)
        self.page.get_by_label("Password").fill(password)
        self.press("Log in")
        expect(self.page.get_by_label("Password")).to_have_count(0)

    def leaves(self, path: str) -> None:
        """Wait until a form was taken, and another page came."""
        expect(self.page).not_to_have_url(re.compile(re.escape(path)))

    # --- Reading ---

    @property
    def heading(self) -> Locator:
        return self.page.get_by_role("heading", level=1)

    def sees(self, text: str | re.Pattern) -> None:
        """Wait until this stands on the page, for everybody to see."""
        expect(self.page.get_by_text(text).filter(visible=True).first).to_be_visible()

    @property
    def text(self) -> str:
        return self.page.locator("body").inner_text()

    def shown_token(self) -> str:
        """The token that this page shows once."""
        self.sees(TOKEN)
        return TOKEN.findall(self.text)[0]

    # --- Doing ---

    def press(self, name: str | re.Pattern) -> None:
        self.page.get_by_role("button", name=name).filter(visible=True).first.click()

    def follow(self, name: str | re.Pattern) -> None:
        self.page.get_by_role("link", name=name).filter(visible=True).first.click()

    def row(self, name: str) -> Locator:
        return self.page.get_by_role("row").filter(has_text=name)

    def act(self, action: str | re.Pattern, *names: str) -> None:
        """Tick rows of a list by what stands in them, and run an action of the menu on them."""
        for name in names:
            self.row(name).first.get_by_role("checkbox").check()
        menu = self.page.get_by_label(_MENU)
        menu.select_option(label=self._option(menu, action))
        self.press("Run")

    @staticmethod
    def _option(menu: Locator, action: str | re.Pattern) -> str:
        labels = [label.strip() for label in menu.locator("option").all_inner_texts()]
        return next(label for label in labels if re.search(action, label))

    def upload(self, label: str | re.Pattern, file: Path) -> None:
        self.page.get_by_label(label).set_input_files(file)
