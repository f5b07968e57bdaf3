"""Answers that fail, before they have begun or after: their client is told, and nobody else anything."""

import socket

import pytest
from gunicorn import util
from OpenSSL import SSL

from portal.sockets import ClientSocket
from tests.live import pairs

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def breaks_off(environ, start_response):
    """An application that fails in the middle of its answer."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"first"
    raise RuntimeError("broken off")


def says_hello(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    yield b"hello"


def test_an_answer_that_breaks_off_ends_its_connection_alone_after_what_was_sent(caplog):
    with pairs.working(breaks_off) as worker:
        answer = worker.answered(worker.connected(), REQUEST)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"\r\n5\r\nfirst\r\n"), "and no chunk that says that it is whole"
        worker.turn(until=lambda: not worker.worker.nr_conns)
        worker.worker.wsgi = says_hello
        assert worker.answered(worker.connected(), REQUEST).endswith(b"hello")
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["broken off"]


@pytest.mark.parametrize("header", [("X-Bad", "a\r\nb"), ("X Bad", "a")])
def test_a_header_of_ours_that_is_none_is_not_the_clients_fault(caplog, header):
    def application(environ, start_response):
        start_response("200 OK", [header])
        return []

    with pairs.working(application) as worker:
        answer = worker.answered(worker.connected(), REQUEST)
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b'"code": "internal_error"' in answer
    (said,) = [record for record in caplog.records if record.exc_info]
    assert header[0] in str(said.exc_info[1])


@pytest.fixture
def tls():
    """A client and the server's end of its connection."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    client = SSL.Connection(pairs.context(SSL.TLS_CLIENT_METHOD), theirs)
    client.set_connect_state()
    server = pairs.shaken(client, ours, pairs.context(SSL.TLS_SERVER_METHOD, *pairs.self_signed()))
    yield client, server
    theirs.close()
    server.end()


def test_what_gunicorn_closes_keeps_its_number_until_the_poller_ends_it(tls):
    client, server = tls
    server.sendall(b"head")
    server.sendall(b"first")
    number = server.fileno()
    util.close_graceful(server)
    assert server.fileno() == number
    with pytest.raises(BrokenPipeError):
        server.sendall(b"a page that says that it failed")
    server.hang_up()
    assert client.recv(100) == b"headfirst"
    with pytest.raises(SSL.ZeroReturnError):
        client.recv(100)


def test_a_plain_connection_is_closed_so_too():
    client, ours = socket.socketpair()
    server = ClientSocket(ours, None, "")
    with client, ours:
        util.close_graceful(server)
        assert server.fileno() >= 0


def test_a_connection_that_has_ended_sends_nothing_to_who_got_its_number(tls):
    _, server = tls
    number = server.fileno()
    server.end()
    stranger, other = socket.socketpair()
    with stranger, other:
        assert number in (stranger.fileno(), other.fileno())
        server.sendall(b"kept until more comes")
        for would in (lambda: server.sendall(b"more"), server.flush, server.begin_request):
            with pytest.raises(OSError, match="closed"):
                would()
        server.hang_up()
        for end in (stranger, other):
            end.setblocking(False)
            with pytest.raises(BlockingIOError):
                end.recv(100)
