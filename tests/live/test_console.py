"""The console over real sockets: a login by client certificate, and what a handshake there lets in."""

import itertools
import ssl

import pytest

from tests.live.devices import Device
from tests.live.test_handshakes import strangers_certificate
from tests.live.visitors import Visitor
from tests.server import Server

NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def asking(tmp_path_factory):
    """A server whose console asks for client certificates."""
    settings = {"PORTAL_CONSOLE_CLIENT_CERTIFICATES": "on"}
    running = Server(tmp_path_factory.mktemp("asking"), settings).start()
    yield running
    assert running.stop() == 0, running.output()


@pytest.fixture
def visit():
    """Makes visitors, and ends their connections."""
    visitors = []

    def come(*given) -> Visitor:
        visitors.append(Visitor(*given))
        return visitors[-1]

    yield come
    for visitor in visitors:
        visitor.connection.close()


def nobody(server):
    return ssl.create_default_context(cafile=str(server.demo / "ca.pem"))


@pytest.fixture
def laptop(asking, tmp_path):
    """A device whose key logs the administrator in."""
    name = f"laptop-{next(NUMBERS)}"
    device = Device.enrolled(asking, tmp_path, name)
    asking.inside("add_login_key", name)
    return device


def test_a_certificate_logs_in_and_a_revocation_ends_it_on_the_open_connection(asking, laptop, visit):
    ada = visit(asking, laptop.context())
    assert f"Log in with your certificate ({laptop.name})" in ada.ask("GET", "/admin/login/")[1]
    ada.log_in()
    assert ada.is_in()
    asking.revoke(laptop.name)
    assert not ada.is_in()
    ada.come_anew()
    with pytest.raises((ssl.SSLError, ConnectionError)):
        ada.is_in()


def test_a_session_that_is_carried_to_a_connection_without_the_key_ends(asking, laptop, tmp_path, visit):
    ada = visit(asking, laptop.context())
    other = Device.enrolled(asking, tmp_path, f"other-{laptop.name}")
    for context in (nobody(asking), other.context()):
        ada.log_in()
        thief = visit(asking, context, dict(ada.cookies))
        assert not thief.is_in()
        assert not ada.is_in(), "the session is over for both"


def test_a_resumed_tls_session_still_shows_the_key(asking, laptop, visit):
    ada = visit(asking, laptop.context(version=ssl.TLSVersion.TLSv1_2))
    ada.log_in()
    ada.come_anew()
    assert ada.is_in()


def test_without_a_certificate_the_console_is_served_as_ever(asking, visit):
    status, html = visit(asking, nobody(asking)).ask("GET", "/admin/login/")
    assert status == 200
    assert "Log in with your certificate" not in html


def test_a_strangers_certificate_is_refused_in_the_handshake(asking, tmp_path, visit):
    strangers_certificate(tmp_path, "mallory")
    mallory = visit(asking, Device("mallory", asking, tmp_path).context())
    with pytest.raises((ssl.SSLError, ConnectionError)):
        mallory.ask("GET", "/admin/login/")
    assert asking.logs('"subject": "CN=mallory"')


def test_a_console_that_does_not_ask_takes_no_certificate(server, tmp_path, visit):
    device = Device.enrolled(server, tmp_path, "not-asked")
    server.inside("add_login_key", "not-asked")
    visitor = visit(server, device.context())
    assert "Log in with your certificate" not in visitor.ask("GET", "/admin/login/")[1]
    visitor.log_in()
    assert not visitor.is_in()


def test_an_upload_that_is_refused_unread_is_told_the_limit(server, visit):
    status, html = visit(server, nobody(server)).ask("POST", "/admin/login/", rows="x" * 3_000_000)
    assert status == 413
    assert "At most 2,500,000 bytes" in html
