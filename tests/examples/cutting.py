"""A TLS server that cuts the first connection off, and has another key for all that come after it."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.server import LISTENERS

STOLEN = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nConnection: close\r\n\r\nmutual trust"


class Cutting:
    """Listens on a free port of 127.0.0.1; `first` and `then` are PEM files with certificate and key."""

    def __init__(self, listening: socket.socket, first: Path, then: Path) -> None:
        self._listening = listening
        self._first, self._then = _context(first), _context(then)
        self.heard: list[bytes] = []  # the first bytes of each connection whose handshake went well
        self.connections = 0

    @property
    def ports(self) -> dict[str, int]:
        """It stands for every listener."""
        return dict.fromkeys(LISTENERS, self._listening.getsockname()[1])

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return  # it was closed
            self.connections += 1
            with connection, suppress(OSError):
                connection.settimeout(30)
                self._answer(connection, is_first=self.connections == 1)

    def _answer(self, connection: socket.socket, *, is_first: bool) -> None:
        context = self._first if is_first else self._then
        with context.wrap_socket(connection, server_side=True) as visitor:
            self.heard.append(visitor.recv(64))
            if not is_first:
                visitor.sendall(STOLEN)


def _context(pair: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair)
    return context


@contextmanager
def cutting(first: Path, then: Path) -> Iterator[Cutting]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        running = Cutting(listening, first, then)
        thread = threading.Thread(target=running.serve, daemon=True)
        thread.start()
        yield running
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=30)
        assert not thread.is_alive()
