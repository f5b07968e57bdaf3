"""A client's connection: received by events, answered by a thread.

A thread is given to a connection only once a whole request is there, and is done when the answer is made:
a client that stalls, in the handshake, in a header, in a body or in reading, holds a file descriptor and
some memory, and never a thread.
"""

import errno
import re
import selectors
import socket
from collections import deque

from cryptography import x509

from portal.listeners import Listener, TlsMode
from portal.prefaces import Preface

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE
DONE = 0

LARGEST_HEAD = 32 * 1024  # bytes of request line and header fields
# Bytes kept for a client that does not read them yet: a CRL of a million entries, which all readers share.
LARGEST_ANSWER = 64 * 1024 * 1024
_CHUNK = 16 * 1024  # bytes received at once: a TLS record

_END_OF_HEAD = b"\r\n\r\n"
# Each field that anybody could take for a length, and the value if all read it alike.
_CONTENT_LENGTH = re.compile(
    rb"\ncontent-length(?::[ \t]*([0-9]{1,18})[ \t]*(?=\r\n)|[ \t]*:)", re.IGNORECASE
)
_TRANSFER_ENCODING = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
# RFC 9110 15.2: a client of HTTP/1.0 is never told to go on. One empty line may come before (RFC 9112 2.2).
_TAKES_CONTINUE = re.compile(rb"(?:\r\n)?[^\r\n]* HTTP/1\.1\r\n")
_EXPECT_CONTINUE = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*\r\n", re.IGNORECASE)


class HeadTooLarge(Exception):
    """The request's head is longer than any that is served."""


class ClientEnded(ConnectionResetError):
    """The client has said that it sends nothing more, and its request is not whole."""


class ClientSocket:
    """A connection of a plain listener; `portal.tls.TlsSocket` is one of a TLS listener.

    The system's socket never blocks. `handshake`, `receive_request` and `flush` do what can be done now and
    say which event to wait for. gunicorn calls `recv` and `sendall` from a thread, and neither waits: the
    one takes from what was received, the other keeps what the client does not take yet, for `flush`.
    """

    resumed = False  # whether the TLS session is an earlier one, continued
    handed_over = 0.0  # to a thread, with the request; time.perf_counter()'s

    def __init__(
        self, raw: socket.socket, listener: Listener, address: str, preface: Preface | None = None
    ) -> None:
        """With a `preface` that is to come, `address` is a load balancer's until it has."""
        raw.setblocking(False)
        self.raw = raw
        self.listener = listener
        self.address = address
        self.client: tuple[str, int] | None = None  # address and port, if a load balancer told them
        self._preface = preface
        self.whole = False  # whether the request that is being served was received to its end
        self._received = bytearray()
        self._looked = 0  # bytes of it in which no head ends
        self._request: int | None = None  # bytes of the whole request, once its head has said so
        # By reference: what many clients are sent at once is in memory once.
        self._outgoing: deque[memoryview] = deque()
        self._unsent = 0
        self._begun = False  # whether something of the answer was handed over
        self._given_up = False  # whether gunicorn has closed it

    @property
    def begins_with_handshake(self) -> bool:
        """Whether something comes before the first request."""
        return self.listener.mode is not TlsMode.PLAIN or self._preface is not None

    # --- What pki.endpoints.peer asks -------------------------------------------------------------

    @property
    def peer_certificate(self) -> x509.Certificate | None:
        return None

    @property
    def protocol(self) -> str:
        return "none"

    @property
    def cipher(self) -> str:
        return "none"

    # --- By events: never waits -------------------------------------------------------------------

    def handshake(self) -> int:
        """Go on with the handshake: READ or WRITE to wait for that, DONE when it is over.

        Raises HandshakeFailed.
        """
        if self._preface is not None:
            if not self._preface.receive(self.raw):
                return READ
            if found := self._preface.client():
                self.client = (str(found[0]), found[1])
                self.address = self.client[0]
            self._preface = None
        return DONE

    def receive_request(self) -> int:
        """Receive what has come: READ or WRITE to wait for that, DONE when a thread should take over.

        That is when a whole request is there, or one that will be refused unread. Raises HeadTooLarge, or
        OSError when the client is gone.
        """
        while not self._enough():
            if event := self._receive_chunk():
                return event
        return DONE

    def begin_request(self) -> int:
        """The same with one chunk at most: who sends much gets a thread, and not the time of all others."""
        before = len(self._received)
        if event := self._receive_chunk():
            return event
        return DONE if len(self._received) - before == _CHUNK or self._enough() else READ

    def _receive_chunk(self) -> int:
        data, event = self._receive_now(_CHUNK)
        if not data and not event:
            raise ClientEnded(errno.ECONNRESET, "the client ended before its request did")
        self._received += data
        return event

    def asks_exactly(self, *lines: bytes) -> bool:
        """Whether a whole request has come, without a body and nothing after it, that begins with one of
        `lines` (its method and target).
        """
        received = self._received
        return (
            self.whole
            and received.startswith(
                tuple(line + version for line in lines for version in (b" HTTP/1.1\r\n", b" HTTP/1.0\r\n"))
            )
            and received.endswith(_END_OF_HEAD)
            and received.find(_END_OF_HEAD) == len(received) - len(_END_OF_HEAD)
        )

    def await_next(self, read_too_far: bytes) -> bool:
        """Make ready for a next request, and take back what was read of it already.

        True if bytes of it are here, so that no event would announce them.
        """
        self.whole = self._begun = False
        self._looked, self._request = 0, None
        self._received[:0] = read_too_far
        return bool(self._received)

    def hang_up(self) -> None:
        """Say that nothing more will be sent, so that the client reads the answer to its end."""
        try:
            self._close_notify()
            self.raw.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # gone already

    def drained(self) -> bool:
        """Throw away what still comes; true once the client has hung up too."""
        try:
            return not self.raw.recv(_CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def end(self) -> None:
        """Close the system's socket, whose number the next connection may get: for the poller alone."""
        self.raw.close()

    def _enough(self) -> bool:
        received = self._received
        if self._request is not None:
            self.whole = len(received) >= self._request
            return self.whole
        # From where it was looked up to, or a client that trickles has all of it looked at for each byte.
        end = received.find(_END_OF_HEAD, max(0, self._looked - len(_END_OF_HEAD)))
        if end < 0:
            if len(received) > LARGEST_HEAD:
                raise HeadTooLarge
            self._looked = len(received)
            return False
        if end > LARGEST_HEAD:
            raise HeadTooLarge
        head = bytes(received[: end + 2])
        # This only decides when to wake a thread; gunicorn's parser decides what the request is. Where
        # it wanted more than this, it would find the end.
        if _TRANSFER_ENCODING.search(head):
            return True
        lengths: list[bytes] = _CONTENT_LENGTH.findall(head)
        if len(lengths) > 1 or b"" in lengths:
            return True
        body = int(lengths[0]) if lengths else 0
        if body > self.listener.largest_body:
            return True
        self._request = end + len(_END_OF_HEAD) + body
        self.whole = len(received) >= self._request
        if not self.whole and _EXPECT_CONTINUE.search(head) and _TAKES_CONTINUE.match(head):
            self._keep(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.flush()
        return self.whole

    def flush(self) -> int:
        """Send what is kept: READ or WRITE to wait for that, DONE when the client has taken all of it.

        Raises OSError when the client is gone.
        """
        while self._outgoing:
            sent, event = self._send_now(self._next_chunk())
            if event:
                return event
            self._drop(sent)
        return DONE

    def _keep(self, data: bytes) -> None:
        self._outgoing.append(memoryview(data))
        self._unsent += len(data)

    def _next_chunk(self) -> bytes:
        # Head and body of a short answer leave in one TLS record and one call of the system.
        pieces, room = [], _CHUNK
        for piece in self._outgoing:
            pieces.append(piece[:room])
            room -= len(pieces[-1])
            if not room:
                break
        return b"".join(pieces)

    def _drop(self, sent: int) -> None:
        """Forget what was sent."""
        self._unsent -= sent
        while sent:
            piece = self._outgoing[0]
            if sent < len(piece):
                self._outgoing[0] = piece[sent:]
                return
            self._outgoing.popleft()
            sent -= len(piece)

    @property
    def unsent(self) -> int:
        """Bytes of the answer that the client has not taken yet."""
        return self._unsent

    # --- By a thread, for gunicorn ----------------------------------------------------------------

    def recv(self, size: int) -> bytes:
        """At most `size` bytes of what was received, b"" when there are no more.

        A thread never waits for a client to send: what `receive_request` let through unread ends here.
        Then the parser wanted more than was counted, and what comes later is no request of its own.
        """
        if not self._received:
            self.whole = False
        data = bytes(self._received[:size])
        del self._received[:size]
        return data

    def sendall(self, data: bytes) -> None:
        """Send `data` as far as the client takes it now, and keep the rest.

        What comes first of an answer, its head, waits for what follows, or for `flush`. Raises OSError when
        the client is gone, or leaves more unread than any answer is long, or after `close`.
        """
        if not data:
            return
        if self._given_up:
            raise BrokenPipeError(errno.EPIPE, "the answer was given up")
        self._keep(data)
        if not self._begun:
            self._begun = True
            return
        if self.flush() and self._unsent > LARGEST_ANSWER:
            # An errno that gunicorn passes over in silence: slow clients must not fill the log.
            raise BrokenPipeError(errno.EPIPE, "the client does not read")

    def send(self, data: bytes) -> int:
        self.sendall(data)
        return len(data)

    # --- What TLS does otherwise ------------------------------------------------------------------

    def _receive_now(self, size: int) -> tuple[bytes, int]:
        """What has come, or the event to wait for."""
        try:
            return self.raw.recv(size), DONE
        except BlockingIOError:
            return b"", READ

    def _send_now(self, data: bytes) -> tuple[int, int]:
        """How much could be sent, or the event to wait for."""
        try:
            return self.raw.send(data), DONE
        except BlockingIOError:
            return 0, WRITE

    def _close_notify(self) -> None:
        """Plain connections have nothing to say before they end."""

    # --- What gunicorn expects of a socket --------------------------------------------------------

    def fileno(self) -> int:
        return self.raw.fileno()

    def getsockname(self) -> tuple[str, int]:
        name: tuple[str, int] = self.raw.getsockname()
        return name

    def setblocking(self, flag: bool) -> None:
        """The system's socket never blocks; deadlines take the place of modes."""

    def settimeout(self, seconds: float | None) -> None:
        """As `setblocking`."""

    def gettimeout(self) -> float | None:
        return None

    def shutdown(self, how: int) -> None:
        """As `close`: the poller says goodbye, once the client has what was sent before."""
        self.close()

    def close(self) -> None:
        """Send nothing more than was handed over: an answer broke off. The poller ends the connection."""
        self._given_up = True
