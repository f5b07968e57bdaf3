"""Somebody at the console, over a real connection."""

import http.client
import re
import ssl
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from urllib.parse import urlencode

from tests.live.devices import TIMEOUT
from tests.server import Server


@dataclass
class Visitor:
    """A browser at the console: one connection, kept alive, and cookies that outlive it."""

    server: Server
    context: ssl.SSLContext
    cookies: dict[str, str] = field(default_factory=dict)
    connection: http.client.HTTPSConnection | None = None
    location: str | None = None  # where the last answer leads

    def __post_init__(self) -> None:
        self.come_anew()

    def come_anew(self) -> None:
        if self.connection:
            self.connection.close()
        port = self.server.ports["console"]
        self.connection = http.client.HTTPSConnection(
            "localhost", port, timeout=TIMEOUT, context=self.context
        )

    def ask(self, method: str, path: str, **fields: str | list[str]) -> tuple[int, str]:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if method == "POST":
            headers |= {
                "Content-Type": "application/x-www-form-urlencoded",
                "Referer": self.server.url("console"),
            }
        self.connection.request(method, path, urlencode(fields, doseq=True), headers)
        answer = self.connection.getresponse()
        self.location = answer.headers["Location"]
        for line in answer.headers.get_all("Set-Cookie") or ():
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value
        return answer.status, answer.read().decode()

    def log_in(self) -> int:
        """Log in with the certificate of the connection."""
        return self.send_form("/admin/login/", to="/admin/login/certificate/")

    def log_in_as_administrator(self) -> int:
        """Log in with the password that the first run made."""
        password = (self.server.data / "secrets" / "admin-password").read_text().strip()
        return self.send_form("/admin/login/", username="admin", password=password)

    def form_token(self, path: str) -> str:
        """What a form of this page must be sent with."""
        _, html = self.ask("GET", path)
        return re.search(r'csrfmiddlewaretoken" value="([^"]+)"', html)[1]

    def send_form(self, path: str, to: str = "", **fields: str) -> int:
        """Fill in a page's form and send it, to where the page is or to another place; the status."""
        return self.ask("POST", to or path, csrfmiddlewaretoken=self.form_token(path), **fields)[0]

    def is_in(self) -> bool:
        return self.ask("GET", "/admin/pki/device/")[0] == 200
