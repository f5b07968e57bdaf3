"""gunicorn's threaded worker, with a front that no slow client can hold up.

gthread gives a thread to a connection from its handshake on, and a client that stalls keeps it. Here
the poller holds every connection that waits for its client, with a deadline; a thread runs only what
can be run at once. The parser, the WSGI calls, keep-alive and the worker's life stay gunicorn's.
"""

import errno
import json
import logging
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.utils import timezone
from gunicorn.http.errors import (
    ConfigurationProblem,
    InvalidResponseHeader,
    InvalidResponseHeaderName,
    ParseException,
)
from gunicorn.util import http_date
from gunicorn.workers.gthread import TConn, ThreadWorker

from pki.endpoints import measuring, request_ids
from pki.endpoints.health import ALIVE
from pki.endpoints.problems import problem
from pki.services.complaints import COMPLAINTS
from pki.services.measuring import counted
from pki.services.proving.handshakes import TURNED_AWAY, RefusedHandshake
from portal import pool, serving
from portal.handshakes import HandshakeFailed
from portal.housekeeping import Housekeeping
from portal.prefaces import Preface, is_balancer
from portal.sockets import DONE, READ, ClientEnded, ClientSocket, HeadTooLarge
from portal.tls import TlsSocket

log = logging.getLogger("hatchery.worker")

HANDSHAKE_SECONDS = 5.0  # from the first byte of a connection to the end of its handshake
REQUEST_SECONDS = 10.0  # from the end of the handshake, or the first byte of a next request, to its end
ANSWER_SECONDS = 10.0  # for the client to read the answer, and
SLOWEST_READER = 50_000  # bytes of a large one a second: 25 MB in eight minutes
GOODBYE_SECONDS = 2.0  # for the client to hang up after the answer
LOOK_SECONDS = 0.25  # between two looks at whose deadline has passed
IDLE_UP_TO = 3 / 4  # of the connections that a worker may hold; beyond it, idle ones make room for new ones


# Where one asks how this process is, and the requests that do.
ASKED_FOR_HEALTH = ("portal.urls.status", "portal.urls.metrics")
HEALTHZ = b"GET /healthz"
WATCHERS = (b"GET /readyz", b"GET /metrics")
# For those: while one asks a database that hangs, the other tells that it does.
WATCHERS_THREADS = 2


class Connection(TConn):  # type: ignore[misc]  # gunicorn has no types
    """A connection and what it waits for."""

    def __init__(self, cfg: Any, sock: ClientSocket, client: Any, server: Any) -> None:
        super().__init__(cfg, sock, client, server)
        self.shaken = False
        self.idle = False  # kept alive, and nothing of a next request has come
        self.answered: bool | None = None  # the answer is made; whether to keep the connection after it
        self.leaving = False  # the client has the answer; only its goodbye is awaited
        self.deadline = 0.0
        self.awaited = 0  # the event that the poller waits for
        self.watcher = False  # whether it asks how this process is
        self.ended = False


class PortalWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Serves all listeners of this process."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.waiting: set[Connection] = set()
        self.idle: dict[Connection, None] = {}  # kept alive; first the one that has been for longest
        self.crowded_above = int(self.worker_connections * IDLE_UP_TO)
        self.hurried = False  # told to stop without waiting for clients
        self.looked_at = 0.0
        self.in_hand = 0  # connections that a thread has, or that wait for one
        self.watchers = ThreadPoolExecutor(WATCHERS_THREADS, "watchers", initializer=pool.apart)
        self.housekeeping = Housekeeping()

    def handle_quit(self, sig: int, frame: Any) -> None:
        """Stop at once: every connection that waits is closed, and only what a thread does now is ended.

        gunicorn would take the pool's lock here. The thread that the signal interrupts may hold it: the
        worker hung until it was killed, and what it had noted was lost.
        """
        self.alive = False
        self.hurried = True
        self.method_queue.defer(lambda: None)

    # --- The poller's thread ----------------------------------------------------------------------

    def accept(self, listener: Any) -> None:
        try:
            raw, client = listener.accept()
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                COMPLAINTS.say(log, "New connections have to wait", _why_not_accepted(error))
                # It stays readable, and would be asked again at once; gunicorn's loop turns this on again.
                self.set_accept_enabled(False)
            return
        if isinstance(client, tuple):
            # Without the zone of a link-local address (RFC 4007 11), which PostgreSQL's inet refuses: it
            # becomes REMOTE_ADDR, and so what every listener records.
            client = (client[0].partition("%")[0], *client[1:])
        try:
            conn = Connection(self.cfg, _wrap(raw, client), client, listener.getsockname())
        except Exception:
            log.exception("A connection could not be begun")
            raw.close()
            return
        self.nr_conns += 1
        conn.shaken = not conn.sock.begins_with_handshake
        conn.deadline = time.monotonic() + (REQUEST_SECONDS if conn.shaken else HANDSHAKE_SECONDS)
        self.guarded(self.wait, conn, READ)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Serve events, for a moment: what gunicorn does between two calls, looking after its master and
        deadlines, need not be done after each.
        """
        until = time.monotonic() + LOOK_SECONDS
        super().wait_for_and_dispatch_events(timeout)
        self.make_room()
        while self.alive and self.nr_conns < self.worker_connections and time.monotonic() < until:
            super().wait_for_and_dispatch_events(LOOK_SECONDS)
            self.make_room()

    def wait(self, conn: Connection, event: int) -> None:
        """Hold a connection until the event comes or its deadline passes."""
        if conn.awaited == event:
            return
        self.wait_no_more(conn)
        self.poller.register(conn.sock, event, lambda _: self.guarded(self.wake, conn))
        self.waiting.add(conn)
        conn.awaited = event

    def wait_no_more(self, conn: Connection) -> None:
        """Let go of a connection."""
        if conn.awaited:
            self.poller.unregister(conn.sock)
            self.waiting.discard(conn)
            self.idle.pop(conn, None)
            conn.awaited = 0

    def guarded(self, what: Callable[..., None], conn: Connection, *words: Any) -> None:
        """Do something with a connection, and end it if that fails: from here it would end the worker, and
        everybody's connections with it.
        """
        try:
            what(conn, *words)
        except Exception:
            log.exception("A connection failed")
            self.end(conn)

    def wake(self, conn: Connection) -> None:
        """The event came."""
        if conn.leaving:
            if conn.sock.drained():
                self.end(conn)
            return
        if conn.answered is not None:
            self.settle(conn)
            return
        if conn.idle:
            conn.idle = False
            self.idle.pop(conn, None)
            conn.deadline = time.monotonic() + REQUEST_SECONDS
        if conn.shaken:
            self.go_on(conn)
        elif conn.sock.listener.asks_for_certificates:
            self.hand_over(conn)
        else:
            self.begin(conn)

    def begin(self, conn: Connection) -> None:
        """Go on with a handshake for which the database is not asked: to wake a thread costs as much."""
        try:
            event = self.shake(conn)
        except HandshakeFailed as failed:
            self.in_a_thread(partial(self.note, conn.sock, failed))
            self.leave(conn)
            return
        if event:
            self.wait(conn, event)
        else:
            self.go_on(conn)

    def go_on(self, conn: Connection) -> None:
        """Receive what has come of a request; a thread is woken when it is whole, or has to be refused."""
        try:
            event = conn.sock.begin_request()
        except HeadTooLarge:
            event = DONE  # as the thread will find
        except ClientEnded:
            # There is nobody to wait for, and nothing unread that would reset the connection.
            conn.sock.hang_up()
            self.end(conn)
            return
        except OSError:
            self.leave(conn)
            return
        if event:
            self.wait(conn, event)
        elif not self.told_alive(conn):
            self.hand_over(conn)

    def hand_over(self, conn: Connection) -> None:
        """Give a connection to a thread."""
        self.wait_no_more(conn)
        conn.sock.handed_over = time.perf_counter()
        conn.watcher = conn.sock.listener.urlconf in ASKED_FOR_HEALTH and conn.sock.asks_exactly(*WATCHERS)
        if conn.watcher:
            # To whom it matters that all of the other threads wait.
            done = self.watchers.submit(self.handle, conn)
            done.add_done_callback(lambda done: self.method_queue.defer(self.finish_request, conn, done))
        else:
            self.enqueue_req(conn)
            self.in_hand += 1  # only now: a thread that cannot be started raises

    def told_alive(self, conn: Connection) -> bool:
        """Answer `/healthz` here: it must not wait for threads that all wait for the database."""
        if conn.sock.listener.urlconf not in ASKED_FOR_HEALTH or not conn.sock.asks_exactly(HEALTHZ):
            return False
        try:
            conn.sock.sendall(_alive())
        except OSError:
            self.end(conn)
            return True
        conn.answered = False
        conn.deadline = time.monotonic() + ANSWER_SECONDS
        self.settle(conn)
        return True

    def finish_request(self, conn: Connection, future: "Future[int | bool]") -> None:
        """A thread is done with a connection."""
        if not conn.watcher:
            self.in_hand -= 1
        try:
            outcome = future.result()
        except Exception:
            log.exception("A connection failed")
            outcome = False
        self.guarded(self.go_on_after, conn, outcome)

    def go_on_after(self, conn: Connection, outcome: int | bool) -> None:
        """A connection waits for an event, for a next request, or leaves."""
        if outcome is True or outcome is False:
            conn.answered = outcome
            conn.deadline = time.monotonic() + ANSWER_SECONDS + conn.sock.unsent / SLOWEST_READER
            self.settle(conn)
        else:
            self.wait(conn, outcome)

    def settle(self, conn: Connection) -> None:
        """Let the client take the answer to its end, then keep the connection or leave it."""
        try:
            event = conn.sock.flush()
        except OSError:
            self.end(conn)
            return
        if event:
            self.wait(conn, event)
            return
        keep, conn.answered = conn.answered, None
        if keep:
            self.keep(conn)
        else:
            self.leave(conn)

    def keep(self, conn: Connection) -> None:
        """Keep a connection alive for its next request."""
        # gunicorn's parser may have read into the next request already.
        if conn.sock.await_next(conn.parser.unreader.take_buffered()):
            conn.deadline = time.monotonic() + REQUEST_SECONDS
            self.hand_over(conn)
            return
        conn.idle = True
        conn.deadline = time.monotonic() + self.cfg.keepalive
        self.wait(conn, READ)
        self.idle[conn] = None

    @property
    def is_crowded(self) -> bool:
        """Whether so many connections are here, and none idle, that none is to be kept alive."""
        return self.nr_conns > self.crowded_above and not self.idle

    def make_room(self) -> None:
        """End the connections that have been idle for longest: they would keep all others out, at every
        listener, for as long as they are kept alive. Not among events: one of theirs may be next.
        """
        while self.idle and self.nr_conns > self.crowded_above:
            conn = next(iter(self.idle))
            self.guarded(lambda conn: conn.sock.hang_up(), conn)
            self.end(conn)

    def leave(self, conn: Connection) -> None:
        """Hang up, and give the client a moment to read the answer and do the same.

        Closing while something unread has come would reset the connection, and the answer be lost.
        """
        conn.sock.hang_up()
        conn.leaving = True
        conn.deadline = time.monotonic() + GOODBYE_SECONDS
        self.wait(conn, READ)

    def end(self, conn: Connection) -> None:
        """Close a connection, if it is not closed yet."""
        if conn.ended:
            return
        conn.ended = True
        self.nr_conns -= 1
        try:
            self.wait_no_more(conn)
            conn.sock.end()
        except Exception:
            log.exception("A connection could not be closed")

    def murder_keepalived(self, force: bool = False) -> None:
        """Close what waited past its deadline. gunicorn calls this at each turn of the loop, at least once a
        second.
        """
        now = time.monotonic()
        if self.alive and not force and now < self.looked_at + LOOK_SECONDS:
            return  # hundreds may be waiting
        self.looked_at = now
        for conn in list(self.waiting):
            leaves = self.hurried or (not self.alive and (conn.idle or not conn.shaken))
            if force or leaves or now >= conn.deadline:
                if now >= conn.deadline and self.alive:
                    self.guarded(self.cut_off, conn)
                self.end(conn)

    def cut_off(self, conn: Connection) -> None:
        """Have it known whom a connection was waited for in vain, if anything was awaited but its goodbye."""
        if conn.leaving or conn.idle:
            return
        if not conn.shaken:
            self.in_a_thread(partial(self.note, conn.sock, _timed_out(conn.sock)))
        else:
            late = counted.REQUEST if conn.answered is None else counted.ANSWER
            counted.CUT_OFF.count(conn.sock.listener.name, late)

    def murder_pending(self) -> None:
        """gunicorn's list of pending connections stays empty; this is its call at each turn of the loop."""
        if self.alive and self.housekeeping.tick(self.in_a_thread):
            self.measure()

    def measure(self) -> None:
        """Tell how busy this worker is."""
        counted.WORKERS.put(1)
        counted.THREADS.put(self.cfg.threads)
        counted.IN_HAND.put(self.in_hand)
        counted.CONNECTIONS.put(self.nr_conns)
        counted.MOST_CONNECTIONS.put(self.worker_connections)
        pool.measure()

    def in_a_thread(self, errand: Callable[[], None]) -> None:
        """Have housekeeping done in a thread, which gives its database connection back."""
        self.tpool.submit(_done_aside, errand)

    # --- Both -------------------------------------------------------------------------------------

    def shake(self, conn: Connection) -> int:
        """Go on with what comes before the first request: the event to wait for, or DONE.

        Raises HandshakeFailed.
        """
        sock: ClientSocket = conn.sock
        if event := sock.handshake():
            return event
        conn.shaken = True
        counted.HANDSHAKES.count(sock.listener.name)
        # What becomes REMOTE_ADDR.
        conn.client = sock.client or conn.client
        conn.deadline = time.monotonic() + REQUEST_SECONDS
        return DONE

    # --- The pool's threads -----------------------------------------------------------------------

    def handle(self, conn: Connection) -> int | bool:
        """Do what can be done now: true to keep the connection, false to end it, or an event to wait for."""
        outcome: int | bool = pool.giving_back(self._handle, conn)
        return outcome

    def _handle(self, conn: Connection) -> int | bool:
        try:
            event = self.receive(conn)
        except HandshakeFailed as failed:
            self.note(conn.sock, failed)
            return False
        except HeadTooLarge:
            with request_ids.Named():
                self.refuse(conn.sock, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large")
            return False
        except OSError:
            return False  # the client is gone
        if event:
            return event
        conn.data_ready = True
        keep: bool = super().handle(conn)
        try:
            conn.sock.flush()
        except OSError:
            return False  # the client is gone
        return keep

    def receive(self, conn: Connection) -> int:
        """Take the handshake, then the request, as far as they have come."""
        if not conn.shaken and (event := self.shake(conn)):
            return event
        received: int = conn.sock.receive_request()
        return received

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:
        # A body that nobody read would have to be drained by a thread; the connection ends instead.
        return keepalive and conn.sock.whole and super()._keepalive_after(conn, keepalive)

    def handle_error(self, req: Any, client: ClientSocket, addr: Any, exc: Exception) -> None:
        """What gunicorn's parser refuses, as a problem (RFC 9457), and what failed, in the log."""
        status = _STATUS_OF_PARSER_ERROR.get(type(exc).__name__)
        if status is None and isinstance(exc, ParseException) and not isinstance(exc, _OUR_MISTAKES):
            status = HTTPStatus.BAD_REQUEST
        with request_ids.Named():
            if status is None:
                log.exception("A request failed")
                self.refuse(client, HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error")
            else:
                self.refuse(client, status, "malformed_request", type(exc).__name__)

    def refuse(self, client: ClientSocket, status: HTTPStatus, code: str, fault: str = "") -> None:
        """Answer a request that never reached Django; `fault` is what gunicorn calls its fault."""
        response = problem(status, code, f"{status.description or status.phrase}.")
        measuring.too_early(status, code, client.listener, client.address)
        where = client.listener.name, client.address
        log.info("%s from %s: %d %s%s", *where, status, code, f", {fault}" if fault else "")
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\n"
        if name := request_ids.current():
            head += f"{request_ids.HEADER}: {name}\r\n"
        head += f"Content-Type: {response['Content-Type']}\r\nContent-Length: {len(response.content)}\r\n\r\n"
        try:
            client.sendall(head.encode() + response.content)
        except OSError:
            pass  # nobody is there to read it

    def note(self, sock: ClientSocket, failed: HandshakeFailed) -> None:
        """Have a refused handshake recorded."""
        refused = failed.refused
        TURNED_AWAY.note(
            RefusedHandshake.of(
                refused.certificate if refused else None,
                ours=refused is not None and refused.ours,
                listener=sock.listener.name,
                address=sock.address,
                reason=failed.reason,
                explanation=failed.explanation,
            ),
            timezone.now(),
        )


# Which gunicorn counts among what its parser refuses.
_OUR_MISTAKES = (ConfigurationProblem, InvalidResponseHeader, InvalidResponseHeaderName)

# By name: gunicorn's own statuses for what its parser refuses; any other of its errors is a 400.
_STATUS_OF_PARSER_ERROR = {
    "LimitRequestLine": HTTPStatus.REQUEST_URI_TOO_LONG,
    "LimitRequestHeaders": HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "UnsupportedTransferCoding": HTTPStatus.NOT_IMPLEMENTED,
    "ExpectationFailed": HTTPStatus.EXPECTATION_FAILED,
}


# As gunicorn and the endpoint would write it.
_BODY = json.dumps(ALIVE).encode()


def _alive() -> bytes:
    head = f"HTTP/1.1 200 OK\r\nDate: {http_date()}\r\nConnection: close\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(_BODY)}\r\n\r\n"
    return head.encode() + _BODY


def _done_aside(errand: Callable[[], None]) -> None:
    try:
        pool.giving_back(errand)
    except Exception:
        # The pool would keep it for somebody who asks, and nobody does.
        log.exception("Something that was noted is lost")


def _wrap(raw: socket.socket, client: Any) -> ClientSocket:
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener, tls = serving.at_port(raw.getsockname()[1])
    address = client[0] if isinstance(client, tuple) else ""
    preface = Preface() if is_balancer(address, settings.PORTAL_BALANCERS) else None
    if tls is None:
        return ClientSocket(raw, listener, address, preface)
    return TlsSocket(raw, listener, address, tls.first, tls.current, preface)


def _why_not_accepted(error: OSError) -> str:
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"{error}; let this process have more open files (LimitNOFILE=, ulimit -n)"
    return str(error)


def _timed_out(sock: ClientSocket) -> HandshakeFailed:
    return HandshakeFailed("timeout", f"no handshake within {HANDSHAKE_SECONDS:.0f} seconds")
