"""TLS messages without end, in which a server has nothing to answer: others are served meanwhile."""

import socket
import ssl
import threading
import time
from contextlib import ExitStack, suppress

import pytest
from OpenSSL import SSL

from portal.sockets import DONE, READ
from portal.tls import TlsSocket
from portal.worker import REQUEST_SECONDS
from tests.live import pairs
from tests.live.devices import Connection
from tests.live.records import Flooder, KeyUpdates, Renegotiations
from tests.server import Server

SLACK = 3.0  # seconds, as in test_slow_clients
AT_ONCE = 100  # records


@pytest.fixture(scope="module")
def context():
    return pairs.context(SSL.TLS_SERVER_METHOD, *pairs.self_signed())


def shaken(kind: type[Flooder], context: SSL.Context) -> tuple[Flooder, TlsSocket]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    client = kind(theirs)
    return client, pairs.shaken(client.tls, ours, context)


@pytest.mark.parametrize("kind", [KeyUpdates, Renegotiations])
def test_one_message_is_taken_at_a_time_however_many_have_come(context, kind):
    client, server = shaken(kind, context)
    with client.raw, server.raw:
        client.raw.sendall(client.records(AT_ONCE))
        before = len(server.raw.recv(65536, socket.MSG_PEEK))
        assert server.begin_request() == READ
        left = len(server.raw.recv(65536, socket.MSG_PEEK))
        assert before - left == before / AT_ONCE


def test_a_request_after_key_updates_is_received(context):
    client, server = shaken(KeyUpdates, context)
    with client.raw, server.raw:
        client.raw.sendall(client.records(2) + client.data(b"GET / HTTP/1.1\r\n\r\n"))
        assert [server.begin_request() for _ in range(3)] == [READ, READ, DONE]


def flood(client: Flooder) -> None:
    with suppress(OSError):
        while True:
            client.raw.sendall(client.records(AT_ONCE))
            # A server that cannot send its warnings would read no more.
            with suppress(BlockingIOError):
                while client.raw.recv(65536, socket.MSG_DONTWAIT):
                    pass


def flooding(server: Server) -> tuple[Flooder, threading.Thread]:
    """A client that sends such messages from now on, faster than OpenSSL reads them, until it is cut off."""
    client = Renegotiations(socket.create_connection(("127.0.0.1", server.ports["hello"]), REQUEST_SECONDS))
    client.raw.setblocking(True)
    client.tls.do_handshake()
    sending = threading.Thread(target=flood, args=(client,))
    sending.start()
    return client, sending


def test_who_floods_a_worker_holds_up_nobody_and_is_cut_off(tmp_path):
    server = Server(tmp_path, {"WEB_CONCURRENCY": "1"}).start()
    trusting = ssl.create_default_context(cafile=str(server.demo / "ca.pem"))
    with ExitStack() as ending:
        ending.callback(server.stop)
        began = time.monotonic()
        client, sending = flooding(server)
        ending.enter_context(client.raw)
        while sending.is_alive() and time.monotonic() < began + REQUEST_SECONDS / 2:
            asked = time.monotonic()
            connection = Connection(server, "hello", trusting)
            assert connection.get("/hello").status == 200
            connection.close()
            assert time.monotonic() - asked < SLACK
        assert sending.is_alive(), "it was cut off too soon to have held up anybody"
        sending.join(began + REQUEST_SECONDS + SLACK - time.monotonic())
        assert not sending.is_alive()
