"""People at the console: who they are, and the browser windows that they sit at."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext

from tests.browser.console import Console
from tests.browser.watch import Watch

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
TIMEOUT = 30_000  # milliseconds: far more than anything takes on a machine that does other things too


@dataclass
class Window:
    """A window with a memory of its own, and what its pages complain of."""

    key: tuple[object, ...]
    context: BrowserContext
    watch: Watch


@dataclass
class Shared:
    """What outlives a test: people log in once, and an empty window is left to the next, for a new one costs
    more than what is looked at in it.
    """

    sessions: dict[str, Any] = field(default_factory=dict)
    windows: list[Window] = field(default_factory=list)


@dataclass
class Visits:
    """The visits of one test."""

    browser: Browser
    url: str
    passwords: dict[str, str]
    shared: Shared
    _open: list[Window] = field(default_factory=list)

    def __call__(
        self,
        user: str | None = "admin",
        *,
        screen: dict[str, int] = DESKTOP,
        scheme: str = "light",
        timezone: str = "UTC",
    ) -> Console:
        """A window of this user, logged in; of a stranger without one. Nothing is shared but the session."""
        key = (user, screen["width"], scheme, timezone)
        window = self._empty(key) if user else None
        if window is None:
            context = self.browser.new_context(
                base_url=self.url,
                viewport=screen,
                color_scheme=scheme,
                timezone_id=timezone,
                locale="en-US",
                reduced_motion="reduce",
            )
            context.set_default_timeout(TIMEOUT)
            window = Window(key, context, Watch().over(context))
        if user:
            window.context.add_cookies(self._session(user))
        self._open.append(window)
        page = window.context.pages[0] if window.context.pages else window.context.new_page()
        return Console(page, window.watch)

    def _empty(self, key: tuple[object, ...]) -> Window | None:
        """A window like this that another test has left."""
        found = next((each for each in self.shared.windows if each.key == key), None)
        if found is not None:
            self.shared.windows.remove(found)
            found.watch.begin()
        return found

    def _session(self, user: str) -> Any:
        sessions = self.shared.sessions
        if user not in sessions:
            console = self(None)
            console.log_in(user, self.passwords[user])
            sessions[user] = console.page.context.cookies()
        return sessions[user]

    def photograph(self, folder: Path) -> None:
        """Keep what each window shows, for whoever looks why a test failed."""
        for number, window in enumerate(self._open):
            for page in window.context.pages:
                page.screenshot(path=folder / f"window-{number}.png")

    def end(self) -> list[str]:
        """Leave every window empty, and a stranger's closed; what their pages complained of."""
        complaints = [complaint for window in self._open for complaint in window.watch.unexpected]
        for window in self._open:
            user, *_ = window.key
            if user is None:
                window.context.close()
                continue
            window.context.clear_cookies()
            first, *others = window.context.pages or [window.context.new_page()]
            if first.url.startswith(self.url):
                first.evaluate("localStorage.clear(); sessionStorage.clear()")
            first.goto("about:blank")
            for page in others:
                page.close()
            self.shared.windows.append(window)
        return complaints
