"""gunicorn's threaded worker, with a front that no slow client can hold up.

gthread gives a thread to a connection from its handshake on, and a client that stalls keeps it. Here
the poller holds every connection that waits for its client, with a deadline; a thread runs only what
can be run at once. The parser, the WSGI calls, keep-alive and the worker's life stay gunicorn's.
"""

import errno
import logging
import socket
import time
from concurrent.futures import Future
from http import HTTPStatus
from typing import Any

from django.db import close_old_connections
from django.utils import timezone
from gunicorn.workers.gthread import TConn, ThreadWorker

from pki.endpoints.problems import problem
from pki.services.proving.handshakes import TURNED_AWAY, RefusedHandshake
from portal import serving
from portal.housekeeping import Housekeeping
from portal.listeners import TlsMode
from portal.sockets import READ, ClientSocket, HeadTooLarge
from portal.tls import HandshakeFailed, TlsSocket

log = logging.getLogger("hatchery.worker")

HANDSHAKE_SECONDS = 5.0  # from the first byte of a connection to the end of its handshake
REQUEST_SECONDS = 10.0  # from the end of the handshake, or the first byte of a next request, to its end
ANSWER_SECONDS = 10.0  # for the client to read the answer, and
SLOWEST_READER = 50_000  # bytes of a large one a second: 25 MB in eight minutes
GOODBYE_SECONDS = 2.0  # for the client to hang up after the answer


class Connection(TConn):  # type: ignore[misc]  # gunicorn has no types
    """A connection and what it waits for."""

    def __init__(self, cfg: Any, sock: ClientSocket, client: Any, server: Any) -> None:
        super().__init__(cfg, sock, client, server)
        self.shaken = False
        self.idle = False  # kept alive, and nothing of a next request has come
        self.answered: bool | None = None  # the answer is made; whether to keep the connection after it
        self.leaving = False  # the client has the answer; only its goodbye is awaited
        self.deadline = 0.0


class PortalWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Serves all listeners of this process."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.waiting: set[Connection] = set()
        self.hurried = False  # told to stop without waiting for clients
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
                log.exception("A connection could not be accepted")
            return
        if isinstance(client, tuple):
            # Without the zone of a link-local address (RFC 4007 11), which PostgreSQL's inet refuses: it
            # becomes REMOTE_ADDR, and so what every listener records.
            client = (client[0].partition("%")[0], *client[1:])
        self.nr_conns += 1
        conn = Connection(self.cfg, _wrap(raw, client), client, listener.getsockname())
        conn.shaken = conn.sock.listener.mode is TlsMode.PLAIN
        conn.deadline = time.monotonic() + (REQUEST_SECONDS if conn.shaken else HANDSHAKE_SECONDS)
        self.wait(conn, READ)

    def wait(self, conn: Connection, event: int) -> None:
        """Hold a connection until the event comes or its deadline passes."""
        self.waiting.add(conn)
        self.poller.register(conn.sock, event, lambda _: self.wake(conn))

    def wake(self, conn: Connection) -> None:
        """The event came."""
        if conn.leaving:
            if conn.sock.drained():
                self.drop(conn)
            return
        self.poller.unregister(conn.sock)
        self.waiting.discard(conn)
        if conn.answered is not None:
            self.settle(conn)
            return
        if conn.idle:
            conn.idle = False
            conn.deadline = time.monotonic() + REQUEST_SECONDS
        self.enqueue_req(conn)

    def finish_request(self, conn: Connection, future: "Future[int | bool]") -> None:
        """A thread is done with a connection: it waits for an event, for a next request, or leaves."""
        try:
            outcome = future.result()
        except Exception:
            log.exception("A connection failed")
            outcome = False
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
            self.enqueue_req(conn)
            return
        conn.idle = True
        conn.deadline = time.monotonic() + self.cfg.keepalive
        self.wait(conn, READ)

    def leave(self, conn: Connection) -> None:
        """Hang up, and give the client a moment to read the answer and do the same.

        Closing while something unread has come would reset the connection, and the answer be lost.
        """
        conn.sock.hang_up()
        conn.leaving = True
        conn.deadline = time.monotonic() + GOODBYE_SECONDS
        self.wait(conn, READ)

    def drop(self, conn: Connection) -> None:
        """Close a waiting connection."""
        self.poller.unregister(conn.sock)
        self.waiting.discard(conn)
        self.end(conn)

    def end(self, conn: Connection) -> None:
        """Close a connection that waits for nothing."""
        conn.sock.close()
        self.nr_conns -= 1

    def murder_keepalived(self, force: bool = False) -> None:
        """Close what waited past its deadline. gunicorn calls this at least once a second."""
        now = time.monotonic()
        for conn in list(self.waiting):
            leaves = self.hurried or (not self.alive and (conn.idle or not conn.shaken))
            if force or leaves or now >= conn.deadline:
                if not conn.shaken and not conn.leaving and self.alive:
                    self.tpool.submit(self.note, conn.sock, _timed_out(conn.sock))
                self.drop(conn)

    def murder_pending(self) -> None:
        """gunicorn's list of pending connections stays empty; this is its call at each turn of the loop."""
        if self.alive:
            self.housekeeping.tick(self.tpool.submit)

    # --- The pool's threads -----------------------------------------------------------------------

    def handle(self, conn: Connection) -> int | bool:
        """Do what can be done now: true to keep the connection, false to end it, or an event to wait for."""
        try:
            event = self.receive(conn)
        except HandshakeFailed as failed:
            self.note(conn.sock, failed)
            return False
        except HeadTooLarge:
            self.refuse(conn.sock, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large")
            return False
        except OSError:
            return False  # the client is gone
        if event:
            return event
        conn.data_ready = True
        keep: bool = super().handle(conn)
        return keep

    def receive(self, conn: Connection) -> int:
        """Take the handshake, then the request, as far as they have come."""
        sock: ClientSocket = conn.sock
        if not conn.shaken:
            if event := sock.handshake():
                return event
            conn.shaken = True
            conn.deadline = time.monotonic() + REQUEST_SECONDS
        return sock.receive_request()

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:
        # A body that nobody read would have to be drained by a thread; the connection ends instead.
        return keepalive and conn.sock.whole and super()._keepalive_after(conn, keepalive)

    def handle_error(self, req: Any, client: ClientSocket, addr: Any, exc: Exception) -> None:
        """What gunicorn's parser refuses, as a problem (RFC 9457), and what failed, in the log."""
        status = _STATUS_OF_PARSER_ERROR.get(type(exc).__name__)
        if status is None and type(exc).__module__ == "gunicorn.http.errors":
            status = HTTPStatus.BAD_REQUEST
        if status is None:
            log.exception("A request failed")
            self.refuse(client, HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error")
        else:
            log.info("malformed request from %s: %s", addr[0] if addr else "", type(exc).__name__)
            self.refuse(client, status, "malformed_request")

    def refuse(self, client: ClientSocket, status: HTTPStatus, code: str) -> None:
        """Answer a request that never reached Django."""
        response = problem(status, code, f"{status.description or status.phrase}.")
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\n"
        head += f"Content-Type: {response['Content-Type']}\r\nContent-Length: {len(response.content)}\r\n\r\n"
        try:
            client.sendall(head.encode() + response.content)
        except OSError:
            pass  # nobody is there to read it

    def note(self, sock: ClientSocket, failed: HandshakeFailed) -> None:
        """Have a refused handshake recorded."""
        refused = failed.refused
        close_old_connections()
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


# By name: gunicorn's own statuses for what its parser refuses; any other of its errors is a 400.
_STATUS_OF_PARSER_ERROR = {
    "LimitRequestLine": HTTPStatus.REQUEST_URI_TOO_LONG,
    "LimitRequestHeaders": HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "UnsupportedTransferCoding": HTTPStatus.NOT_IMPLEMENTED,
    "ExpectationFailed": HTTPStatus.EXPECTATION_FAILED,
}


def _wrap(raw: socket.socket, client: Any) -> ClientSocket:
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener, tls = serving.at_port(raw.getsockname()[1])
    address = client[0] if isinstance(client, tuple) else ""
    if tls is None:
        return ClientSocket(raw, listener, address)
    return TlsSocket(raw, listener, address, tls.first, tls.current)


def _timed_out(sock: ClientSocket) -> HandshakeFailed:
    return HandshakeFailed("timeout", f"no handshake within {HANDSHAKE_SECONDS:.0f} seconds")
