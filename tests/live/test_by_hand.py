"""A key and certificate that were made in the console, used by a device over mutual TLS."""

import json
import ssl
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar

import pytest

from tests.clients import run
from tests.console.browser import filled_in
from tests.server import Server

ISSUE = "/admin/pki/certificate/issue/"
PASSWORD = "a-long-enough-password"


class Console:
    """An administrator's browser on a real socket."""

    def __init__(self, server: Server) -> None:
        self._server = server
        context = ssl.create_default_context(cafile=str(server.demo / "ca.pem"))
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=context), urllib.request.HTTPCookieProcessor(CookieJar())
        )
        login = filled_in(self.get("/admin/login/").decode())
        password = (server.data / "secrets" / "admin-password").read_text().strip()
        self.post("/admin/login/", **{**login, "username": "admin", "password": password, "next": "/admin/"})

    def get(self, path: str) -> bytes:
        return self._opener.open(self._server.url("console", path), timeout=30).read()

    def post(self, path: str, **fields: str) -> bytes:
        url = self._server.url("console", path)
        request = urllib.request.Request(  # noqa: S310  our own server
            url, urllib.parse.urlencode(fields).encode(), headers={"Referer": url}
        )
        return self._opener.open(request, timeout=30).read()


@pytest.fixture(scope="module")
def console(server):
    return Console(server)


def made(console: Console, name: str, container: str, kind: str = "") -> bytes:
    """The file with a new device's key and certificate."""
    asked = filled_in(console.get(f"{ISSUE}?whom=device").decode())
    asked |= {"name": name, "source": "made", "spec": kind}
    looked = filled_in(console.post(ISSUE, **{**asked, "do": "look"}).decode())
    looked |= {"container": container, "secret": "own", "password": PASSWORD, "password_again": PASSWORD}
    return console.post(ISSUE, **{**looked, "do": "issue"})


def greeting(server, folder, *options):
    done = run(
        *("curl", "-sS", "--cacert", server.demo / "ca.pem", *options, server.url("secure", "/secure")),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["message"]


def test_a_pkcs12_file_made_in_the_console_opens_the_secure_listener(console, server, tmp_path):
    (tmp_path / "made.p12").write_bytes(made(console, "made-1", "pkcs12"))
    told = greeting(server, tmp_path, "--cert-type", "P12", "--cert", f"made.p12:{PASSWORD}")
    assert told == "Hello made-1, mutual trust established"


def test_a_legacy_file_holds_the_same_for_an_old_device(console, server, tmp_path):
    (tmp_path / "made.p12").write_bytes(made(console, "made-2", "pkcs12-legacy", "RSA-2048"))
    opened = run(
        *("openssl", "pkcs12", "-legacy", "-in", "made.p12", "-passin", f"pass:{PASSWORD}"),
        *("-noenc", "-out", "made.pem"),
        cwd=tmp_path,
    )
    assert opened.returncode == 0, opened.stderr
    assert greeting(server, tmp_path, "--cert", "made.pem") == "Hello made-2, mutual trust established"


def test_a_pem_file_works_as_it_is(console, server, tmp_path):
    (tmp_path / "made.pem").write_bytes(made(console, "made-3", "pem"))
    told = greeting(server, tmp_path, "--cert", f"made.pem:{PASSWORD}")
    assert told == "Hello made-3, mutual trust established"


def test_what_was_made_is_on_the_log_and_no_secret_is(console, server):
    made(console, "made-4", "pkcs12")
    assert server.logs("certificate.key_made")
    assert PASSWORD not in server.output()
    assert "PRIVATE KEY" not in server.output()
