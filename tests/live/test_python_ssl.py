"""A service in Python that verifies our devices itself, with the lists that it fetched from us."""

import itertools
import socket
import ssl
import threading
from pathlib import Path

import pytest

from tests.clients import run
from tests.live.devices import TIMEOUT, Device
from tests.server import seen_within

NUMBERS = itertools.count()
SOON = 20.0  # seconds, generous: the benchmark measures how soon lists have a revocation
REVOKED = 23  # X509_V_ERR_CERT_REVOKED


def fetched(server, path, folder) -> Path:
    """A file of the status listener, as curl fetches it."""
    file = folder / path.replace("/", "-").strip("-")
    done = run("curl", "-sSf", "-o", file, server.url("status", path))
    assert done.returncode == 0, done.stderr
    return file


@pytest.fixture
def service(server, tmp_path):
    """Makes the TLS context of such a service; it has a certificate of the authority's too."""
    certificate, key = server.inside("sign_a_server", "localhost").split("#\n")
    (tmp_path / "service.pem").write_text(certificate + key)

    def made() -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(tmp_path / "service.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(fetched(server, "/ca/all.pem", tmp_path))
        context.load_verify_locations(fetched(server, "/crl/all.pem", tmp_path))
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF | ssl.VERIFY_CRL_CHECK_CHAIN
        return context

    return made


@pytest.fixture
def device(server, tmp_path):
    return Device.enrolled(server, tmp_path, f"pythonic-{next(NUMBERS)}")


def verdict(service: ssl.SSLContext, device: Device) -> int:
    """What comes of a handshake of the two: 0, or OpenSSL's X509_V_ERR number."""
    ours, theirs = socket.socketpair()

    def knock() -> None:
        context = device.context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            with context.wrap_socket(theirs) as connection:
                connection.recv(1)
        except (ssl.SSLError, ConnectionError):
            pass  # it was refused; the service knows why

    client = threading.Thread(target=knock)
    client.start()
    ours.settimeout(TIMEOUT)
    try:
        with service.wrap_socket(ours, server_side=True) as connection:
            connection.sendall(b"!")
        return 0
    except ssl.SSLCertVerificationError as refused:
        return refused.verify_code
    finally:
        ours.close()
        client.join()


def test_a_certificate_that_stands_is_let_in(service, device):
    assert verdict(service(), device) == 0


def test_a_revoked_one_is_refused_for_that(server, service, device):
    server.revoke(device.name)
    assert seen_within(SOON, lambda: verdict(service(), device) != 0)
    assert verdict(service(), device) == REVOKED


def test_a_hold_that_is_lifted_is_let_in_again(server, service, device):
    server.revoke(device.name, "certificateHold")
    assert seen_within(SOON, lambda: verdict(service(), device) == REVOKED)
    server.inside("lift_hold", device.name)
    assert seen_within(SOON, lambda: verdict(service(), device) == 0)


def test_without_the_lists_nobody_is_let_in(server, service, device, tmp_path):
    """So that the good are let in because of what the lists say, and not because nobody looks."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "service.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(fetched(server, "/ca/all.pem", tmp_path))
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF | ssl.VERIFY_CRL_CHECK_CHAIN
    assert verdict(context, device) == 3  # X509_V_ERR_UNABLE_TO_GET_CRL
