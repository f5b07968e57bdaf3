"""What hostile clients cost good ones: `make bench-hostile`, two minutes, on a server of its own.

Stalled: 500 connections that stall before a byte, in the handshake, in a header, in a body, and are opened
anew when they are cut off. Floods: bad tokens on kept-alive connections, with the limits and without;
sessions resumed as fast as they can be; requests in one piece. Meanwhile a good device says hello over new
connections, or enrolls, and its times are what is written.
"""

import contextlib
import socket
import ssl
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.compare import accounts
from tests.clients import make_csr
from tests.live.devices import Connection
from tests.server import LIMITS, Server

STALLED = 500
SECONDS = 12.0  # of each measurement: longer than any deadline of a connection
FLOODERS = 4
PAUSE = 0.02  # seconds between two requests of the good device

Good = Callable[[Server, ssl.SSLContext], None]
Opened = Callable[[Server, ssl.SSLContext], socket.socket]


def before_a_byte(server: Server, context: ssl.SSLContext) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.ports["hello"]))


def in_the_handshake(server: Server, context: ssl.SSLContext) -> socket.socket:
    connection = before_a_byte(server, context)
    connection.sendall(b"\x16\x03\x01\x02\x00\x01")  # the beginning of a ClientHello
    return connection


def in_a_header(server: Server, context: ssl.SSLContext) -> socket.socket:
    connection = Connection(server, "hello", context).tls
    connection.sendall(b"GET /hello HTTP/1.1\r\nHost: loc")
    return connection


def in_a_body(server: Server, context: ssl.SSLContext) -> socket.socket:
    connection = Connection(server, "provisioning", context).tls
    connection.sendall(b"POST /sign-csr HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc")
    return connection


@contextmanager
def stalled(server: Server, context: ssl.SSLContext, opened: Opened) -> Iterator[None]:
    """500 connections that stall, and others for those that are cut off."""
    held = [opened(server, context) for _ in range(STALLED)]
    over = threading.Event()

    def renew() -> None:
        while not over.wait(0.2):
            for index, connection in enumerate(held):
                if _is_cut_off(connection):
                    connection.close()
                    held[index] = opened(server, context)

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        for connection in held:
            connection.close()


def _is_cut_off(connection: socket.socket) -> bool:
    connection.settimeout(0)
    try:
        return not connection.recv(1)
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True


class Flood:
    """Threads that do one thing without end, and how often they did it."""

    def __init__(self, what: Callable[[], None]) -> None:
        self.times = 0
        self._what, self._over = what, threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(FLOODERS)]

    def _run(self) -> None:
        while not self._over.is_set():
            self._what()
            self.times += 1

    def __enter__(self) -> "Flood":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


def bad_tokens(server: Server, context: ssl.SSLContext) -> Callable[[], None]:
    local, body = threading.local(), make_csr("guesser")
    head = "POST /sign-csr HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer hatch_no\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    def guess() -> None:
        if not hasattr(local, "connection"):
            local.connection = Connection(server, "provisioning", context)
        answer = local.connection.send(request)
        if answer.status not in (401, 429):
            raise RuntimeError(f"a bad token was answered with {answer}")

    return guess


def resumptions(server: Server, context: ssl.SSLContext) -> Callable[[], None]:
    first = Connection(server, "hello", context)
    first.get("/hello")
    session = first.tls.session

    def resume() -> None:
        connection = Connection(server, "hello", context, session)
        if not connection.tls.session_reused:
            raise RuntimeError("the session was not resumed")
        connection.close()

    return resume


def whole_handshakes(server: Server, context: ssl.SSLContext) -> Callable[[], None]:
    return lambda: Connection(server, "hello", context).close()


def hello(server: Server, context: ssl.SSLContext) -> None:
    connection = Connection(server, "hello", context)
    if connection.get("/hello").status != 200:
        raise RuntimeError("a good client was not served")
    connection.close()


def enrolls(server: Server, token: str) -> Good:
    number = iter(range(10**6))

    def enroll(server: Server, context: ssl.SSLContext) -> None:
        body = make_csr(f"good-{next(number)}")
        head = f"POST /sign-csr HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        connection = Connection(server, "provisioning", context)
        answer = connection.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        if answer.status != 200:
            raise RuntimeError(f"a good token was answered with {answer}")
        connection.close()

    return enroll


def measured(what: Good, server: Server, context: ssl.SSLContext) -> str:
    """Milliseconds of a good client's requests: median and 99th percentile; and how many there were."""
    took, until = [], time.monotonic() + SECONDS
    while time.monotonic() < until:
        began = time.perf_counter()
        what(server, context)
        took.append((time.perf_counter() - began) * 1000)
        time.sleep(PAUSE)
    return f"{statistics.median(took):7.1f} {statistics.quantiles(took, n=100)[-1]:7.1f} {len(took):6,}"


class Costs:
    """CPU and memory of a server's processes."""

    def __init__(self, server: Server) -> None:
        self._processes = accounts.with_children(server.process.pid if server.process else 0)
        self._cpu = accounts.cpu_seconds(self._processes)

    def cpu(self) -> float:
        """Seconds since this was made."""
        return accounts.cpu_seconds(self._processes) - self._cpu

    def memory(self) -> float:
        """MB that are theirs: shared pages are counted once among those who share them."""
        return accounts.memory(self._processes)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="hatchery-bench-") as folder:
        _serve(Path(folder))


def _serve(folder: Path) -> None:
    server = Server(folder / "limited", dict.fromkeys(LIMITS, "100"))
    unlimited = Server(folder / "unlimited")
    with contextlib.ExitStack() as stack:
        for each in (server, unlimited):
            stack.callback(each.start().stop)
        _measure(server, unlimited)


def _measure(server: Server, unlimited: Server) -> None:
    context = ssl.create_default_context(cafile=str(server.demo / "ca.pem"))
    print(f"{'':44} median    p99  times    MB", flush=True)

    def row(what: str, times: str, more: str = "") -> None:
        print(f"{what:42} {times} {Costs(server).memory():5.0f} {more}", flush=True)

    row("hello, nobody else", measured(hello, server, context))
    for opened in (before_a_byte, in_the_handshake, in_a_header, in_a_body):
        with stalled(server, context, opened):
            row(
                f"hello, {STALLED} stalled {opened.__name__.replace('_', ' ')}",
                measured(hello, server, context),
            )
    for name, kind in (("whole handshakes", whole_handshakes), ("resumed sessions", resumptions)):
        costs = Costs(server)
        with Flood(kind(server, context)) as flood:
            times = measured(hello, server, context)
        row(f"hello, {name}", times, f"{flood.times:,}, {costs.cpu() / flood.times * 1000:.2f} ms CPU each")
    for name, here in (("no limit", unlimited), ("the limits", server)):
        trusted = ssl.create_default_context(cafile=str(here.demo / "ca.pem"))
        good = enrolls(here, here.token("--pattern", "*", "--uses", "100000"))
        row(f"enrolling, nobody else, {name}", measured(good, here, trusted))
        costs = Costs(here)
        with Flood(bad_tokens(here, trusted)) as flood:
            times = measured(good, here, trusted)
        row(
            f"enrolling, bad tokens, {name}",
            times,
            f"{flood.times:,}, {costs.cpu() / flood.times * 1000:.2f} ms CPU each",
        )


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
