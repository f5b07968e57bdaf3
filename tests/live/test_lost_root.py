"""The root is declared compromised in the console, and whoever follows what its pages say from there on has
a device greeted again in the end.
"""

import re
import ssl
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import pytest

from tests.clients import run
from tests.console.browser import all_filled_in
from tests.live.devices import Device
from tests.live.visitors import Visitor
from tests.server import Server, seen_within

SOON = 30.0  # seconds, generous: a worker looks every two


@dataclass
class Administrator:
    """Somebody who knows nothing, and does what pages say: their links by their words."""

    visitor: Visitor

    def page(self, path: str) -> str:
        status, html = self.visitor.ask("GET", path)
        assert status == 200, path
        return html

    def dashboard(self) -> list[tuple[str, str, str]]:
        """Its red warnings: what they say, and where they lead, in which words."""
        found = re.findall(
            r'<p class="notice notice-danger[^>]*><strong>(.*?)</strong> <a href="([^"]+)">(.*?)</a>',
            self.page("/admin/"),
        )
        return [(unescape(said), unescape(link), unescape(words)) for said, link, words in found]

    def link(self, html: str, words: str) -> str:
        """Where the link of these words leads."""
        found = {
            unescape(text): unescape(link) for link, text in re.findall(r'href="([^"]+)"[^>]*>([^<]*)<', html)
        }
        return next(link for text, link in found.items() if re.fullmatch(words, text))

    def send(self, path: str, **changes: str) -> str:
        """Fill in the form of a page and send it; the page that it leads to."""
        status, html = self.visitor.ask("POST", path, **(all_filled_in(self.page(path)) | changes))
        assert status == 302, html
        return self.page(self.visitor.location)

    def shown_once(self, path: str) -> str:
        """The same, of a form that is answered with what is shown once."""
        status, html = self.visitor.ask("POST", path, **all_filled_in(self.page(path)))
        assert status == 200
        return html


@pytest.fixture
def server(tmp_path):
    running = Server(tmp_path / "server", {"WEB_CONCURRENCY": "2"}).start()
    yield running
    assert running.stop() == 0, running.output()


@pytest.fixture
def ada(server):
    visitor = Visitor(server, ssl.create_default_context(cafile=str(server.demo / "ca.pem")))
    visitor.log_in_as_administrator()
    yield Administrator(visitor)
    visitor.connection.close()


def is_greeted(device: Device, ca: Path) -> bool:
    done = run(
        *("curl", "-sS", "--fail", "--cacert", ca, "--cert", device.certificate),
        *("--key", f"{device.name}.key", device.server.url("secure", "/secure")),
        cwd=device.folder,
    )
    return done.returncode == 0 and f'"client": "{device.name}"'.encode() in done.stdout


def test_who_follows_the_pages_after_the_roots_compromise_has_a_device_greeted_again(server, ada, tmp_path):
    device = Device.enrolled(server, tmp_path, "door-1")
    assert is_greeted(device, server.demo / "ca.pem")
    root = ada.link(ada.page("/admin/pki/issuer/"), "Hatchery Root CA.*")
    declare = ada.link(ada.page(root), "Declare compromised")
    ada.send(declare)
    assert not is_greeted(device, server.demo / "ca.pem")

    # The dashboard names both profiles and the listeners, and leads to where the next root is made.
    warnings = ada.dashboard()
    said = " ".join(sentence for sentence, _, _ in warnings)
    assert "The profile device signs with Hatchery Issuing CA" in said
    assert "Our own listeners (console, hello, provisioning, secure) get their certificates" in said
    (make,) = {link for _, link, words in warnings if words.startswith("Make the next issuer after")}
    assert "no certificate leads from the compromised one to it or back" in ada.page(make)
    assert make == ada.link(ada.page(root), "Make the next issuer")
    assert "A root. Remaining life" in ada.send(make, key="P-256")

    # What the workers do within a minute: the trust bundle names the new root.
    server.maintain()

    # The lost root's page says what else is to be done, and where the new one is.
    lost = ada.page(root)
    assert "so no campaign can move them" in lost
    assert "Move its devices" not in lost
    downloads = ada.page(ada.link(lost, "Download its PEM"))
    pem = ada.page(ada.link(downloads, "PEM"))
    (tmp_path / "new.pem").write_text(pem)

    for profile in ("server", "device"):
        _, link, words = next(each for each in ada.dashboard() if f"Give the profile {profile} " in each[2])
        issuer = words.removeprefix(f"Give the profile {profile} ")
        html = ada.page(link)
        (number,) = re.findall(rf'<option value="(\d+)"[^>]*>{re.escape(issuer)}</option>', html)
        ada.send(link, issuer=number)
        # What the workers do within a minute: the listeners get their certificates.
        server.maintain()
        ada.visitor.context = ssl.create_default_context(cafile=str(tmp_path / "new.pem"))
        assert seen_within(SOON, lambda: has_come_anew(ada.visitor))
    # All that is left to be said is that devices are shut out.
    ((said, link, _),) = (each for each in ada.dashboard() if "compromised" in each[0])
    assert "devices whose certificates hang on it are shut out" in said
    assert link == root

    # Each device needs a new token, and enrolls again, as the token's page says.
    listed = ada.link(ada.page(root), "Look at the devices that are refused")
    its_page = ada.page(ada.link(ada.page(listed), "door-1"))
    shown = ada.shown_once(ada.link(its_page, "New token"))
    assert run("sh", "-ec", block(shown, "get-ca"), cwd=tmp_path).returncode == 0
    assert (tmp_path / "ca.pem").read_text().strip() == pem.strip()
    assert run("sh", "-ec", block(shown, "make-key"), cwd=tmp_path).returncode == 0
    assert run("sh", "-ec", block(shown, "enroll"), cwd=tmp_path).returncode == 0
    assert is_greeted(device, tmp_path / "ca.pem")
    assert "door-1" not in ada.page(listed)


def has_come_anew(visitor: Visitor) -> bool:
    try:
        visitor.come_anew()
        return visitor.is_in()
    except (OSError, ssl.SSLError):
        return False


def block(html: str, name: str) -> str:
    """The lines that a page has to copy."""
    return unescape(re.search(rf'<pre class="code[^>]*id="{name}">(.*?)</pre>', html, re.S)[1])
