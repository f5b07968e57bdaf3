"""What fails at one connection as nobody has foreseen, and harms no other and not the worker."""

import errno
import socket
from contextlib import suppress
from types import SimpleNamespace

import pytest
from django.db import InterfaceError
from OpenSSL import SSL

from portal import tls, worker
from portal.handshakes import HandshakeFailed
from portal.sockets import DONE, ClientSocket
from tests.live import pairs

HEALTHZ = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


# --- In the verify callback -----------------------------------------------------------------------


@pytest.fixture
def arrives():
    """Has a client come with a certificate, begun with one context and gone on with another or the same."""
    certificate, key = pairs.self_signed()
    ends = []

    def made():
        context = pairs.context(SSL.TLS_SERVER_METHOD, certificate, key)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, tls.verify)
        return context

    first = made()

    def come(*, renewed=False):
        ours, theirs = socket.socketpair()
        ends.extend((ours, theirs))
        theirs.setblocking(False)
        client = SSL.Connection(pairs.context(SSL.TLS_CLIENT_METHOD, certificate, key), theirs)
        client.set_connect_state()
        return client, pairs.shaken(client, ours, first, made() if renewed else first, "secure")

    yield come
    for end in ends:
        end.close()


FAULTS = {
    "the driver's": (InterfaceError("connection already closed"), False),
    "anybody's": (MemoryError("no more"), True),
}


@pytest.mark.parametrize(("fault", "has_traceback"), FAULTS.values(), ids=FAULTS)
def test_who_cannot_be_judged_is_refused_and_the_fault_is_raised_from_nobody_elses_connection(
    arrives, monkeypatch, caplog, fault, has_traceback
):
    def fails(*words):
        raise fault

    monkeypatch.setattr(tls.status, "renewable", lambda *words: None)
    client, server = arrives()
    with monkeypatch.context() as now_it_fails:
        now_it_fails.setattr(tls.status, "renewable", fails)
        with pytest.raises(HandshakeFailed) as refused:
            arrives(renewed=True)
    assert refused.value.reason == "unavailable"
    (said,) = [record for record in caplog.records if record.name == "hatchery.tls"]
    assert str(fault) in caplog.text
    assert bool(said.exc_info) is has_traceback
    client.sendall(HEALTHZ)
    assert server.begin_request() == DONE


# --- In the poller --------------------------------------------------------------------------------


class Failing(ClientSocket):
    """A connection of which one step fails."""

    def __init__(self, raw, listener, address):
        super().__init__(raw, listener, address)
        setattr(self, self.step, self.fails)

    def fails(self, *words):
        raise RuntimeError("unheard of")


def failing(name):
    return type(name, (Failing,), {"step": name})


def ended(client):
    with client, suppress(ConnectionResetError):
        return client.recv(1) == b""
    return True


STEPS = {
    "begin_request": b"/healthz",
    "flush": b"/healthz",
    "hang_up": b"/healthz",
    "drained": b"/healthz",
    "await_next": b"/for-a-thread",
}


@pytest.mark.parametrize(("step", "path"), STEPS.items(), ids=STEPS)
def test_a_step_that_fails_ends_its_connection_alone(caplog, step, path):
    def application(environ, start_response):
        start_response("200 OK", [("Content-Length", "5")])
        return [b"hello"]

    with pairs.working(application) as made:
        client = made.connected(failing(step))
        client.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        made.turn(until=lambda: "unheard of" in caplog.text)
        made.turn(until=lambda: not made.worker.nr_conns)
        assert not made.worker.waiting
        client.close()
        assert made.answered(made.connected(), HEALTHZ).startswith(b"HTTP/1.1 200 OK")


def test_a_connection_whose_socket_was_closed_ends_and_is_counted_once():
    with pairs.working() as made:
        client = made.connected()
        (conn,) = made.worker.waiting
        conn.sock.raw.close()
        made.worker.wait_no_more(conn)
        made.worker.guarded(made.worker.leave, conn)
        made.worker.end(conn)
        assert (made.worker.nr_conns, made.worker.waiting) == (0, set())
        client.close()


def test_one_whose_thread_cannot_be_started_ends_and_is_not_counted_as_in_hand(monkeypatch, caplog):
    def none(*words):
        raise RuntimeError("can't start new thread")

    with pairs.working() as made:
        monkeypatch.setattr(made.worker, "enqueue_req", none)
        client = made.connected()
        client.sendall(b"GET /for-a-thread HTTP/1.1\r\nHost: localhost\r\n\r\n")
        made.turn(until=lambda: not made.worker.nr_conns)
        assert made.worker.in_hand == 0
        client.close()
    assert "can't start new thread" in caplog.text


def test_a_connection_that_is_late_ends_even_if_nobody_can_be_told(monkeypatch, caplog):
    def none(conn):
        raise RuntimeError("can't start new thread")

    with pairs.working() as made:
        monkeypatch.setattr(made.worker, "cut_off", none)
        client = made.connected()
        (conn,) = made.worker.waiting
        conn.deadline = made.worker.looked_at = 0.0
        made.worker.murder_keepalived()
        assert made.worker.nr_conns == 0
        client.close()
    assert "can't start new thread" in caplog.text


def test_a_connection_that_cannot_be_begun_is_closed_and_not_counted(monkeypatch, caplog):
    def unknown(port):
        raise KeyError(port)

    monkeypatch.setattr(worker, "serving", SimpleNamespace(at_port=unknown))
    with pairs.working() as made, socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        made.worker.accept(listening)
        client.settimeout(pairs.WITHIN)
        assert ended(client)
        assert made.worker.nr_conns == 0
    assert "A connection could not be begun" in caplog.text


class Exhausted(socket.socket):
    """A listening socket of a process that may open no more files."""

    asked = 0

    def accept(self):
        self.asked += 1
        raise OSError(errno.EMFILE, "Too many open files")


def test_without_a_free_descriptor_accepting_is_left_off_until_the_next_look_and_said_once(caplog):
    with pairs.working() as made, Exhausted() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        made.worker.sockets = [listening]
        with socket.create_connection(listening.getsockname()):
            for look in (1, 2):
                made.worker.set_accept_enabled(True)
                made.worker.wait_for_and_dispatch_events(0.1)
                assert listening.asked == look
                assert not made.worker._accepting
    (said,) = [record for record in caplog.records if record.name == "hatchery.worker"]
    assert "ulimit -n" in said.getMessage()
    assert said.exc_info is None
