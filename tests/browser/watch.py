"""What a page complains of: a test that saw any of it fails."""

import re
from dataclasses import dataclass, field

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request

# A navigation that is replaced by the next one, or by a download, is no failure.
_REPLACED = "net::ERR_ABORTED"


@dataclass
class Watch:
    """Errors of the console, exceptions, failed requests and violations of the CSP, in a context's pages."""

    complaints: list[str] = field(default_factory=list)
    _expected: list[str] = field(default_factory=list)

    def over(self, context: BrowserContext) -> "Watch":
        context.on("console", self._said)
        context.on("requestfailed", self._failed)
        context.on("page", lambda page: self._page(page))
        return self

    def expect(self, pattern: str) -> None:
        """Say that this test provokes a complaint: a regular expression."""
        self._expected.append(pattern)

    def begin(self) -> None:
        """Forget what was seen and expected, for the next test in the same window."""
        self.complaints.clear()
        self._expected.clear()

    @property
    def unexpected(self) -> list[str]:
        return [
            complaint
            for complaint in self.complaints
            if not any(re.search(pattern, complaint) for pattern in self._expected)
        ]

    def _page(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: uncaught {error}"))

    def _said(self, message: ConsoleMessage) -> None:
        # Chromium reports what a CSP forbids as an error of the console, or as a warning if only reported.
        if message.type == "error" or "Content Security Policy" in message.text:
            where = message.page.url if message.page else ""
            self.complaints.append(f"{where}: {message.text} ({message.location.get('url', '')})")

    def _failed(self, request: Request) -> None:
        if request.failure != _REPLACED:
            self.complaints.append(f"{request.method} {request.url}: {request.failure}")
