"""People at the console: who they are, and the browser windows that they sit at."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext

from tests.browser.console import Console
from tests.browser.watch import Watch

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
TIMEOUT = 10_000  # milliseconds: far more than anything takes on a quiet machine


@dataclass
class Visits:
    """The visits of one test. People log in once; `sessions` keeps their cookies for all tests."""

    browser: Browser
    url: str
    passwords: dict[str, str]
    sessions: dict[str, Any]
    _open: list[tuple[BrowserContext, Watch]] = field(default_factory=list)

    def __call__(
        self,
        user: str | None = "admin",
        *,
        screen: dict[str, int] = DESKTOP,
        scheme: str = "light",
        timezone: str = "UTC",
    ) -> Console:
        """A window of this user, logged in; of a stranger without one. Nothing is shared but the session."""
        context = self.browser.new_context(
            base_url=self.url,
            viewport=screen,
            color_scheme=scheme,
            timezone_id=timezone,
            locale="en-US",
            reduced_motion="reduce",
            storage_state=self._session(user) if user else None,
        )
        context.set_default_timeout(TIMEOUT)
        watch = Watch().over(context)
        self._open.append((context, watch))
        return Console(context.new_page(), watch)

    def _session(self, user: str) -> Any:
        if user not in self.sessions:
            console = self(None)
            console.log_in(user, self.passwords[user])
            self.sessions[user] = console.page.context.storage_state()
        return self.sessions[user]

    def photograph(self, folder: Path) -> None:
        """Keep what each window shows, for whoever looks why a test failed."""
        for number, (context, _) in enumerate(self._open):
            for page in context.pages:
                page.screenshot(path=folder / f"window-{number}.png")

    def end(self) -> list[str]:
        """Close all windows; what their pages complained of."""
        for context, _ in self._open:
            context.close()
        return [complaint for _, watch in self._open for complaint in watch.unexpected]
