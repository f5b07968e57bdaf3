"""Clients that stall. Each holds a connection for seconds, and never a thread."""

import contextlib
import socket
import ssl
import time

import pytest

from portal.listeners import all_listeners
from portal.sockets import DONE, READ, ClientSocket
from portal.worker import REQUEST_SECONDS
from tests.clients import run
from tests.live.devices import Connection

AT_ONCE = 500
# The server looks at its deadlines once a second.
SLACK = 3.0


def stalled_before_a_byte(server, context):
    return socket.create_connection(("127.0.0.1", server.ports["hello"]))


def stalled_in_the_handshake(server, context):
    connection = stalled_before_a_byte(server, context)
    connection.sendall(b"\x16\x03\x01\x02\x00\x01")  # the beginning of a ClientHello
    return connection


def stalled_in_a_header(server, context):
    connection = Connection(server, "hello", context).tls
    connection.sendall(b"GET /hello HTTP/1.1\r\nHost: loc")
    return connection


def stalled_in_a_body(server, context):
    connection = Connection(server, "hello", context).tls
    connection.sendall(b"POST /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc")
    return connection


def test_five_hundred_stalled_clients_are_cut_off_and_harm_nobody(server):
    context = ssl.create_default_context(cafile=str(server.demo / "ca.pem"))
    kinds = (stalled_in_a_body, stalled_in_a_header, stalled_in_the_handshake, stalled_before_a_byte)
    stalled = [stall(server, context) for stall in kinds for _ in range(AT_ONCE // len(kinds))]
    try:
        last = time.monotonic()
        answer = run(
            *("curl", "-sS", "--max-time", "5", "--cacert", "ca.pem", server.url("hello", "/hello")),
            cwd=server.demo,
        )
        assert answer.returncode == 0, answer.stderr
        assert b"Hello from TLS server" in answer.stdout
        for connection in stalled:
            connection.settimeout(max(1.0, last + REQUEST_SECONDS + SLACK - time.monotonic()))
            assert connection.recv(1) == b""
    finally:
        for connection in stalled:
            connection.close()


def does_not_read(server, context, request):
    """A client that sends many requests at once and reads no answer."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    raw.connect(("127.0.0.1", server.ports["console"]))
    connection = context.wrap_socket(raw, server_hostname="localhost")
    connection.setblocking(False)
    with contextlib.suppress(ssl.SSLWantWriteError, BlockingIOError):
        for _ in range(100):
            connection.send(request * 100)
    return connection


def test_thirty_clients_that_do_not_read_harm_nobody(server):
    """More than there are threads, each asking for more than any socket's buffer holds."""
    context = ssl.create_default_context(cafile=str(server.demo / "ca.pem"))
    request = b"GET /static/unfold/css/styles.css HTTP/1.1\r\nHost: localhost\r\n\r\n"
    deaf = [does_not_read(server, context, request) for _ in range(30)]
    try:
        answer = run(
            *("curl", "-sS", "--max-time", "5", "--cacert", "ca.pem", server.url("hello", "/hello")),
            cwd=server.demo,
        )
        assert answer.returncode == 0, answer.stderr
    finally:
        for connection in deaf:
            connection.close()


def test_a_header_that_trickles_is_cut_off(server):
    context = ssl.create_default_context(cafile=str(server.demo / "ca.pem"))
    connection = Connection(server, "hello", context)
    connection.tls.sendall(b"GET /hello HTTP/1.1\r\n")
    started = time.monotonic()
    with pytest.raises((ConnectionError, ssl.SSLError)):
        trickle(connection, until=started + REQUEST_SECONDS + 2 * SLACK)
    connection.close()


def trickle(connection, until):
    while time.monotonic() < until:
        connection.tls.sendall(b"X-A: b\r\n")
        time.sleep(0.2)


def test_a_body_that_never_ends_is_refused_unread(server):
    context = ssl.create_default_context(cafile=str(server.demo / "ca.pem"))
    connection = Connection(server, "provisioning", context)
    answer = connection.send(
        b"POST /sign-csr HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc"
    )
    assert (answer.status, answer.code) == (411, "length_required")
    assert connection.ended()
    connection.close()


def test_a_connection_that_says_nothing_more_is_not_held_against_a_next_request(server):
    """Requests that come together, or in pieces, on one connection are all answered."""
    context = ssl.create_default_context(cafile=str(server.demo / "ca.pem"))
    connection = Connection(server, "hello", context)
    request = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"
    connection.tls.sendall(request + request + request[:10])
    first = connection.tls.recv(65536)
    while first.count(b"Hello from TLS server") < 2:
        first += connection.tls.recv(65536)
    time.sleep(0.2)
    assert connection.send(request[10:]).status == 200
    connection.close()


def test_a_megabyte_is_refused_before_it_is_read(server, tmp_path):
    (tmp_path / "big").write_bytes(b"x" * 2_000_000)
    done = run(
        *("curl", "-sS", "--cacert", server.demo / "ca.pem", "--data-binary", "@big"),
        *("-o", "answer", "-w", "%{http_code} %{size_upload}", server.url("provisioning", "/sign-csr")),
        cwd=tmp_path,
    )
    status, uploaded = done.stdout.split()
    assert status == b"413"
    assert int(uploaded) == 0  # curl asked with Expect: 100-continue, and was not let
    assert b'"code": "body_too_large"' in (tmp_path / "answer").read_bytes()


@pytest.mark.parametrize("before", [b"", b"\r\n"])
@pytest.mark.parametrize(("version", "told"), [(b"1.1", b"HTTP/1.1 100 Continue\r\n\r\n"), (b"1.0", b"")])
def test_who_speaks_http_1_0_is_never_told_to_go_on(version, told, before):
    """RFC 9110 15.2; and one empty line before a request is passed over (RFC 9112 2.2)."""
    client, ours = socket.socketpair()
    with client, ours:
        sock = ClientSocket(ours, all_listeners()["provisioning"], "127.0.0.1")
        head = b"POST /sign-csr HTTP/" + version + b"\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        client.sendall(before + head)
        assert sock.begin_request() == READ
        ours.shutdown(socket.SHUT_WR)
        assert client.recv(100) == told
        client.sendall(b"abcde")
        assert sock.begin_request() == DONE


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"GET /hello HTTP/1.1\r\nHost: a\r\nBad header\r\n\r\n", 400),
        (b"GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef", 400),
        (b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET /hello HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 40_000 + b"\r\n\r\n", 431),
        (b"GET /hello HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 70_000, 431),
    ],
)
def test_what_is_not_http_is_answered_with_a_problem(server, request_bytes, status):
    context = ssl.create_default_context(cafile=str(server.demo / "ca.pem"))
    connection = Connection(server, "hello", context)
    answer = connection.send(request_bytes)
    assert answer.status == status
    assert answer.code in ("malformed_request", "head_too_large")
    assert connection.ended()
    connection.close()
