"""The paste box, given host:port: where Hatchery knocks for an administrator, and where it does not."""

import socket
import threading
from contextlib import contextmanager

import pytest

from pki.core import destinations
from pki.models import AuditEvent
from pki.services import reaching
from pki.services.looking import asked_probes
from tests.console.conftest import browser, staff
from tests.console.test_certificate_pages import page_of, paste, said
from tests.server import free_ports
from tests.services.tls_servers import LOCAL, certificate, pem, serving


@pytest.fixture
def issuing(world):
    """Somebody who may issue certificates."""
    return browser(staff("ivy", "view_certificate", "add_certificate"))


@pytest.fixture
def loopback(settings):
    settings.PORTAL_DIAGNOSE_NETWORKS = destinations.networks("127.0.0.0/8")


@contextmanager
def counting():
    """A port of the loopback, and how many connected to it."""
    met = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        over = threading.Event()

        def serve():
            while not over.is_set():
                try:
                    listening.accept()[0].close()
                except TimeoutError:
                    continue
                met.append(1)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1], met
        finally:
            over.set()
            thread.join()


def refused(response):
    """The sentence with which a look is refused."""
    assert response.status_code == 200
    assert response.context["inspection"] is None
    (messages,) = response.context["errors"].values()
    return " ".join(messages)


def events():
    return [
        (each.actor, each.detail["target"])
        for each in AuditEvent.objects.filter(kind="server.probed").order_by("pk")
    ]


def test_our_own_listeners_are_for_who_may_see_certificates(viewer, world, tmp_path, now, settings):
    with serving(tmp_path, pem(certificate(now, *LOCAL))) as port:
        settings.PORTAL_PORT_HELLO = port
        response = paste(viewer, f" https://LOCALHOST:{port}/hello \n")
    assert {"hostname_matches", "unknown_issuer"} <= said(response)
    for words in (f"localhost:{port}, at ", "TLSv1.3", "TLS_AES", "not asked for", "29 days left"):
        assert words in page_of(response)
    assert events() == [("administrator:viewer", f"localhost:{port}")]


def test_others_are_not_looked_at_unless_the_operator_names_their_network(ada, world):
    with counting() as (port, met):
        assert "PORTAL_DIAGNOSE_NETWORKS" in refused(paste(ada, f"127.0.0.1:{port}"))
        # Our name and another's port, another's name and our port.
        assert "PORTAL_DIAGNOSE_NETWORKS" in refused(paste(ada, f"localhost:{port}"))
        assert "PORTAL_DIAGNOSE_NETWORKS" in refused(paste(ada, "169.254.169.254:8443"))
    assert not met
    assert not events()


def test_in_those_networks_they_are_for_who_may_issue(issuing, viewer, world, loopback, tmp_path, now):
    with serving(tmp_path, pem(certificate(now, *LOCAL))) as port:
        assert "allowed to issue" in refused(paste(viewer, f"127.0.0.1:{port}"))
        assert not events()
        assert "hostname_matches" in said(paste(issuing, f"127.0.0.1:{port}"))
        assert "hostname_mismatch" in said(paste(issuing, f"127.0.0.1:{port}", hostname="door.example"))
    assert events() == [("administrator:ivy", f"127.0.0.1:{port}")] * 2


@pytest.mark.parametrize("second", ["10.0.0.5", "::1", "169.254.169.254", "::ffff:10.0.0.5", "8.8.8.8"])
def test_a_name_that_leads_anywhere_else_too_is_not_knocked_at(issuing, loopback, monkeypatch, second):
    with counting() as (port, met):
        rows = [(None, None, None, "", (address, port)) for address in ("127.0.0.1", second)]
        monkeypatch.setattr(reaching, "lookup", lambda *_, **__: rows)
        assert second in refused(paste(issuing, f"door.example:{port}"))
    assert not met


def test_a_name_is_asked_for_once_and_what_was_judged_is_connected_to(issuing, loopback, monkeypatch):
    answers = [["127.0.0.1"], ["10.0.0.5"]]
    with counting() as (port, met):
        monkeypatch.setattr(
            reaching,
            "lookup",
            lambda *_, **__: [(None, None, None, "", (each, port)) for each in answers.pop(0)],
        )
        assert "handshake_failed" in said(paste(issuing, f"door.example:{port}"))
    assert met
    assert answers == [["10.0.0.5"]]


def test_only_so_many_in_a_minute_and_they_count_whether_or_not_anybody_is_there(issuing, ada, loopback):
    (port,) = free_ports(1)
    for _ in range(asked_probes.MOST):
        assert "port_closed" in said(paste(issuing, f"127.0.0.1:{port}"))
    assert "within a minute" in refused(paste(issuing, f"127.0.0.1:{port}"))
    assert "within a minute" in refused(paste(ada, f"127.0.0.1:{port}"))
    assert len(events()) == asked_probes.MOST


def test_a_look_needs_a_post_with_its_token_and_a_permission(
    stranger, newcomer, unprotected, world, loopback
):
    with counting() as (port, met):
        assert paste(newcomer, f"127.0.0.1:{port}").status_code == 403
        assert paste(stranger, f"127.0.0.1:{port}").status_code == 302
        assert paste(unprotected, f"127.0.0.1:{port}").status_code == 403
    assert not met


@pytest.mark.parametrize(
    "text", ["http://door.example/", "gopher://door.example:70", "door.example:0", "a@b:443"]
)
def test_what_names_no_server_well_gets_a_sentence(ada, world, loopback, text):
    assert refused(paste(ada, text))
    assert not events()
