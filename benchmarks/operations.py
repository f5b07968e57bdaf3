"""CPU milliseconds of the server's processes per operation, on SQLite and one client at a time.

CPU time (user + system, from the kernel's accounts) is steadier than time on a machine that is shared.
`python -m benchmarks.operations [--operations N]` prints a table.
"""

import argparse
import base64
import http.client
import shutil
import ssl
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psutil
from cryptography import x509

from tests.clients import make_csr
from tests.core.ocsp_cast import NONCE, asked
from tests.server import Server

Operation = Callable[[http.client.HTTPConnection, int], None]
_ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", type=int, default=1000, help="of each kind (1000)")
    operations = parser.parse_args().operations
    with _server() as server:
        print(
            f"{'operation':<12} {'connection':<11} {'CPU ms':>7} {'(min to max of rounds)':>24} {'ms p50':>7}"
        )
        for name, listener, operation in _operations(server, operations):
            for connection in ("new", "kept alive"):
                cpu, latency = _measure(server, listener, operation, operations, connection == "new")
                spread = f"({min(cpu):.2f} to {max(cpu):.2f})"
                print(
                    f"{name:<12} {connection:<11} {statistics.median(cpu):>7.2f} {spread:>24} {latency:>7.2f}"
                )
        print(f"memory: {_memory(server):.0f} MB (PSS of all processes, where the kernel tells it)")


@contextmanager
def _server() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="hatchery-bench-"))
    try:
        server = Server(folder).start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def _operations(server: Server, operations: int) -> Iterator[tuple[str, str, Operation]]:
    yield "/hello", "hello", lambda connection, _: _get(connection, "/hello")
    yield "/secure", "secure", lambda connection, _: _get(connection, "/secure")
    token = server.token("--pattern", "bench-*", "--uses", str(operations * 4))
    csrs = {name: make_csr(name) for name in (f"bench-{number}" for number in range(operations * 2 + 100))}
    unused = iter(csrs.values())
    headers = {"Authorization": f"Bearer {token}"}

    def sign(connection: http.client.HTTPConnection, _: int) -> None:
        connection.request("POST", "/sign-csr", next(unused), headers)
        _expect_ok(connection)

    yield "/sign-csr", "provisioning", sign
    yield from _questions(server)


def _questions(server: Server) -> Iterator[tuple[str, str, Operation]]:
    """OCSP: an answer that was signed before, and one with a nonce, which is signed each time."""
    certificate, issuer = x509.load_pem_x509_certificates((server.demo / "client.pem").read_bytes())[:2]
    path = "/ocsp/" + quote(base64.b64encode(asked(certificate, issuer)).decode(), safe="")
    yield "/ocsp, kept", "status", lambda connection, _: _get(connection, path)
    body = asked(certificate, issuer, nonce=NONCE)

    def post(connection: http.client.HTTPConnection, _: int) -> None:
        connection.request("POST", "/ocsp", body, {"Content-Type": "application/ocsp-request"})
        _expect_ok(connection)

    yield "/ocsp, nonce", "status", post


def _get(connection: http.client.HTTPConnection, path: str) -> None:
    connection.request("GET", path)
    _expect_ok(connection)


def _expect_ok(connection: http.client.HTTPConnection) -> None:
    response = connection.getresponse()
    body = response.read()
    if response.status != 200:
        raise RuntimeError(f"{response.status}: {body[:300]!r}")


def _measure(
    server: Server, listener: str, operation: Operation, operations: int, new: bool
) -> tuple[list[float], float]:
    context = ssl.create_default_context(cafile=str(server.demo / "ca.pem"))
    if listener == "secure":
        context.load_cert_chain(server.demo / "client.pem", server.demo / "client.key")

    def connect() -> http.client.HTTPConnection:
        if listener == "status":
            return http.client.HTTPConnection("127.0.0.1", server.ports[listener])
        return http.client.HTTPSConnection("127.0.0.1", server.ports[listener], context=context)

    connection = connect()
    for number in range(20):  # warm up: imports, statement caches, database connections
        operation(connection, number)
        if new:
            connection.close()
            connection = connect()
    cpu, latencies = [], []
    for _ in range(_ROUNDS):
        before = _cpu_seconds(server)
        for number in range(operations // _ROUNDS):
            started = time.perf_counter()
            operation(connection, number)
            latencies.append(time.perf_counter() - started)
            if new:
                connection.close()
                connection = connect()
        cpu.append((_cpu_seconds(server) - before) / (operations // _ROUNDS) * 1000)
    connection.close()
    return cpu, statistics.median(latencies) * 1000


def _processes(server: Server) -> list[psutil.Process]:
    if server.process is None:
        raise RuntimeError("the server was not started")
    master = psutil.Process(server.process.pid)
    return [master, *master.children(recursive=True)]


def _cpu_seconds(server: Server) -> float:
    return sum(times.user + times.system for times in (each.cpu_times() for each in _processes(server)))


def _memory(server: Server) -> float:
    infos = [each.memory_full_info() for each in _processes(server)]
    return sum(getattr(info, "pss", info.rss) for info in infos) / 1e6


if __name__ == "__main__":
    main()
