"""A TLS server that remembers each request, byte for byte, and answers what a test wants."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.server import LISTENERS


@dataclass(frozen=True)
class Request:
    path: str
    authorization: str | None
    client: bool  # whether a certificate was shown
    body: bytes
    everything: bytes


class _Answer(BaseHTTPRequestHandler):
    server: "Recorder"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append(
            Request(
                self.path,
                self.headers["Authorization"],
                self.connection.getpeercert() is not None,
                body,
                self.raw_requestline + bytes(self.headers) + body,
            )
        )
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(self.server.announced))
        self.end_headers()
        self.wfile.write(self.server.body)

    do_POST = do_GET

    def log_message(self, *args: object) -> None:
        """Requests are remembered, and not printed."""


class Recorder(ThreadingHTTPServer):
    """Listens on a free port of 127.0.0.1."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.requests: list[Request] = []
        self.answer(b"{}")

    def answer(self, body: bytes, *, status: int = 200, announced: int | None = None) -> None:
        """What it answers from now on, and how many bytes it says that these are."""
        self.requests.clear()
        self.status, self.body = status, body
        self.announced = len(body) if announced is None else announced

    @property
    def ports(self) -> dict[str, int]:
        """It stands for every listener."""
        return dict.fromkeys(LISTENERS, self.server_address[1])

    def handle_error(self, *args: object) -> None:
        """Who refuses us in the handshake is expected."""


@contextmanager
def recording(pair: Path, trusted: Path) -> Iterator[Recorder]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(trusted))
    context.load_cert_chain(pair)
    context.verify_mode = ssl.CERT_OPTIONAL
    with Recorder() as running:
        running.socket = context.wrap_socket(running.socket, server_side=True)
        thread = threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()
