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

from portal.listeners import Listener

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE
DONE = 0

LARGEST_HEAD = 32 * 1024  # bytes of request line and header fields
# Bytes kept for a client that does not read them yet: a CRL of a million entries, which all readers share.
LARGEST_ANSWER = 64 * 1024 * 1024
_CHUNK = 16 * 1024  # bytes received at once: a TLS record

_END_OF_HEAD = b"\r\n\r\n"
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*\r\n", re.IGNORECASE)
_TRANSFER_ENCODING = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_EXPECT_CONTINUE = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*\r\n", re.IGNORECASE)


class HeadTooLarge(Exception):
    """The request's head is longer than any that is served."""


class ClientSocket:
    """A connection of a plain listener; `portal.tls.TlsSocket` is one of a TLS listener.

    The system's socket never blocks. `handshake`, `receive_request` and `flush` do what can be done now and
    say which event to wait for. gunicorn calls `recv` and `sendall` from a thread, and neither waits: the
    one takes from what was received, the other keeps what the client does not take yet, for `flush`.
    """

    resumed = False  # whether the TLS session is an earlier one, continued

    def __init__(self, raw: socket.socket, listener: Listener, address: str) -> None:
        raw.setblocking(False)
        self.raw = raw
        self.listener = listener
        self.address = address
        self.whole = False  # whether the request that is being served was received to its end
        self._received = bytearray()
        # By reference: what many clients are sent at once is in memory once.
        self._outgoing: deque[memoryview] = deque()
        self._unsent = 0
        self._continued = False

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
        """Go on with the handshake: READ or WRITE to wait for that, DONE when it is over."""
        return DONE

    def receive_request(self) -> int:
        """Receive what has come: READ or WRITE to wait for that, DONE when a thread should take over.

        That is when a whole request is there, or one that will be refused unread. Raises HeadTooLarge, or
        OSError when the client is gone.
        """
        while not self._enough():
            data, event = self._receive_now(_CHUNK)
            if event:
                return event
            if not data:
                raise ConnectionResetError(errno.ECONNRESET, "the client ended before its request did")
            self._received += data
        return DONE

    def await_next(self, read_too_far: bytes) -> bool:
        """Make ready for a next request, and take back what was read of it already.

        True if bytes of it are here, so that no event would announce them.
        """
        self.whole = self._continued = False
        self._received[:0] = read_too_far
        return bool(self._received)

    def hang_up(self) -> None:
        """Say that nothing more will be sent, so that the client reads the answer to its end."""
        self._close_notify()
        try:
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

    def close(self) -> None:
        self.raw.close()

    def _enough(self) -> bool:
        received = self._received
        end = received.find(_END_OF_HEAD)
        if end < 0:
            if len(received) > LARGEST_HEAD:
                raise HeadTooLarge
            return False
        if end > LARGEST_HEAD:
            raise HeadTooLarge
        head = bytes(received[: end + 2])
        # This only decides when to wake a thread; gunicorn's parser decides what the request is. Where
        # it wanted more than this, it would find the end.
        if _TRANSFER_ENCODING.search(head):
            return True
        length = _CONTENT_LENGTH.search(head)
        body = int(length[1]) if length else 0
        if body > self.listener.largest_body:
            return True
        self.whole = len(received) >= end + len(_END_OF_HEAD) + body
        if not self.whole and not self._continued and _EXPECT_CONTINUE.search(head):
            self._continued = True
            self.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        return self.whole

    def flush(self) -> int:
        """Send what is kept: READ or WRITE to wait for that, DONE when the client has taken all of it.

        Raises OSError when the client is gone.
        """
        while self._outgoing:
            piece = self._outgoing[0]
            sent, event = self._send_now(bytes(piece[:_CHUNK]))
            if event:
                return event
            self._unsent -= sent
            if sent < len(piece):
                self._outgoing[0] = piece[sent:]
            else:
                self._outgoing.popleft()
        return DONE

    @property
    def unsent(self) -> int:
        """Bytes of the answer that the client has not taken yet."""
        return self._unsent

    # --- By a thread, for gunicorn ----------------------------------------------------------------

    def recv(self, size: int) -> bytes:
        """At most `size` bytes of what was received, b"" when there are no more.

        A thread never waits for a client to send: what `receive_request` let through unread ends here.
        """
        data = bytes(self._received[:size])
        del self._received[:size]
        return data

    def sendall(self, data: bytes) -> None:
        """Send `data` as far as the client takes it now, and keep the rest.

        Raises OSError when the client is gone, or leaves more unread than any answer is long.
        """
        if not data:
            return
        self._outgoing.append(memoryview(data))
        self._unsent += len(data)
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
