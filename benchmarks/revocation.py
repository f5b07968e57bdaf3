"""How soon a revocation is seen: `python -m benchmarks.revocation [--revocations N] [--clients N]`.

Revokes certificates while clients ask without a pause whether those are still good: at the node where the
revocation is made and at another one over the same PostgreSQL, and on SQLite at the only node. The click is
the administrator's POST in the console, or the service's call in a process that waits for it. Prints a
table; ends with 1 if any client was told "good" by a question that it asked after the bound.
"""

import argparse
import functools
import itertools
import re
import shutil
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPSConnection
from pathlib import Path

from cryptography import x509

from benchmarks.asking import (
    AskedByOcsp,
    Client,
    KeptAlive,
    NewConnections,
    Poll,
    ReadsCrl,
    Resumed,
    Watcher,
)
from tests import postgres
from tests.clients import which
from tests.live.devices import Device
from tests.live.visitors import Visitor
from tests.server import ROOT, Server

_KINDS: tuple[type[Client], ...] = (NewConnections, KeptAlive, Resumed, AskedByOcsp, ReadsCrl)
_BEFORE, _AFTER = 2, 3  # questions of each client before the click, and after the bound
_PATIENCE = 15.0  # seconds
_HEAD = (
    f"{'database':<11} {'click':<8} {'asked by':<15} {'node':<6}"
    f"{'from the click':>20} {'from the answer':>20} {'good after the bound':>22}"
)
_UNITS = f"{'':<42}" + f"{'p50 / p99, ms':>20}" * 2

_numbers = itertools.count(1)


@dataclass
class Seen:
    """What the clients at one node saw of revocations."""

    bound: float  # seconds from the answer to the click
    from_click: list[float] = field(default_factory=list)  # seconds to the first refusal
    from_answer: list[float] = field(default_factory=list)  # to that of what was asked after the answer
    late: int = 0  # questions after the bound, or revocations if there is time until then
    wrong: int = 0  # of these, those that were answered with "good" still

    def add(self, polls: list[Poll], clicked: float, answered: float) -> None:
        refused = [poll for poll in polls if not poll.good]
        self.from_click.append(min(poll.answered for poll in refused) - clicked)
        self.from_answer.append(min(poll.answered for poll in refused if poll.sent > answered) - answered)
        after = [poll for poll in polls if poll.sent > answered + self.bound]
        wrong = sum(poll.good for poll in after)
        self.late += 1 if self.bound else len(after)
        self.wrong += bool(wrong) if self.bound else wrong


class Console:
    """An administrator in the browser: logged in, on the page that asks whether to revoke."""

    name = "console"

    def __init__(self, node: Server) -> None:
        context = ssl.create_default_context(cafile=str(node.demo / "ca.pem"))
        self._visitor = Visitor(node, context)

    def prepare(self, serial: str) -> Callable[[], None]:
        """Go as far as the button; what is returned presses it."""
        if not self._visitor.is_in():
            self._visitor.log_in_as_administrator()
        # What the search finds alone, it opens.
        self._visitor.ask("GET", f"/admin/pki/certificate/?q={serial}")
        found = re.fullmatch(r"(/admin/pki/certificate/\d+/)change/", self._visitor.location or "")
        if found is None:
            raise RuntimeError(f"the console does not find the serial {serial}")
        page = f"{found[1]}revoke/"
        token = self._visitor.form_token(page)
        return functools.partial(self._press, page, token)

    def _press(self, page: str, token: str) -> None:
        status, _ = self._visitor.ask(
            "POST", page, csrfmiddlewaretoken=token, confirmed="yes", reason="keyCompromise"
        )
        if status != 302:
            raise RuntimeError(f"the console answered {status}")

    def close(self) -> None:
        if self._visitor.connection:
            self._visitor.connection.close()


class Service:
    """The service that console and shell call, in a process that has started already."""

    name = "service"

    def __init__(self, node: Server) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.live.inside", "revoke_each"],
            cwd=ROOT,
            env=node.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            bufsize=1,
        )

    def prepare(self, serial: str) -> Callable[[], None]:
        return functools.partial(self._call, serial)

    def _call(self, serial: str) -> None:
        self._process.stdin.write(f"{serial}\n")
        if self._process.stdout.readline() != "revoked\n":
            raise RuntimeError("the service did not revoke it")

    def close(self) -> None:
        self._process.communicate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--revocations", type=int, default=100, help="of each kind (100)")
    parser.add_argument("--clients", type=int, default=2, help="at each node (2)")
    parser.add_argument("--only", choices=("sqlite", "postgresql"), help="measure on this database alone")
    options = parser.parse_args()
    if options.revocations < 1 or options.clients < 1:
        parser.error("there must be at least one revocation and one client")
    sys.setswitchinterval(0.0005)  # the clients are threads of this process, and take turns quickly
    print(_HEAD, _UNITS, sep="\n")
    broken = 0
    for database, nodes in _installations(options.only):
        with nodes as running:
            broken += _measure(database, running, options.revocations, options.clients)
    print(f"The bound was broken {broken} times." if broken else "No client was told “good” after the bound.")
    sys.exit(1 if broken else 0)


def _installations(only: str | None) -> Iterator[tuple[str, Callable]]:
    if only != "sqlite":
        initdb = which(postgres.PROGRAM)
        if initdb is None:
            print(f"PostgreSQL is left out: on Debian, apt-get install {postgres.PACKAGE}")
        else:
            yield "PostgreSQL", _two_nodes(initdb)
    if only != "postgresql":
        yield "SQLite", _one_node()


@contextmanager
def _two_nodes(initdb: str) -> Iterator[list[Server]]:
    with postgres.running(initdb, durable=True) as url, _folder() as folder:
        first = Server(folder / "first", {"DATABASE_URL": url}).start()
        try:
            second = first.second_node(folder / "second").start()
            try:
                yield [first, second]
            finally:
                second.stop()
        finally:
            first.stop()


@contextmanager
def _one_node() -> Iterator[list[Server]]:
    with _folder() as folder:
        server = Server(folder, {"DATABASE_URL": ""}).start()
        try:
            yield [server]
        finally:
            server.stop()


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="hatchery-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _measure(database: str, nodes: list[Server], revocations: int, clients: int) -> int:
    """Print a database's lines; how often the bound was broken."""
    broken = 0
    for click, kind in itertools.product((Console, Service), _KINDS):
        seen = [Seen(kind.bound) for _ in nodes]
        with ExitStack() as stack:
            clicking = click(nodes[0])
            stack.callback(clicking.close)
            folder = stack.enter_context(_folder())
            for name in _enrolled(nodes[0], folder, revocations):
                _revoke_one(nodes, folder, name, clicking, kind, clients, seen)
        for number, each in enumerate(seen):
            node = "this" if number == 0 else "other"
            print(
                f"{database:<11} {click.name:<8} {kind.name:<15} {node:<6}"
                f"{_percentiles(each.from_click):>20} {_percentiles(each.from_answer):>20}"
                f"{f'{each.wrong} of {each.late:,}':>22}",
                flush=True,
            )
            broken += each.wrong
    return broken


def _revoke_one(
    nodes: list[Server],
    folder: Path,
    name: str,
    clicking: Console | Service,
    kind: type[Client],
    clients: int,
    seen: list[Seen],
) -> None:
    """Let clients ask at each node, revoke, and let them ask on until the bound is well over."""
    watchers = [[Watcher(kind(Device(name, node, folder))) for _ in range(clients)] for node in nodes]
    everybody = list(itertools.chain(*watchers))
    press = clicking.prepare(_serial(folder / f"{name}.pem"))
    for watcher in everybody:
        watcher.wait_for(_BEFORE, 0.0, good=True, within=_PATIENCE)
    clicked = time.perf_counter()
    press()
    answered = time.perf_counter()
    for watcher in everybody:
        watcher.wait_for(_AFTER, answered, good=False, within=kind.bound + _PATIENCE)
    for each, of_node in zip(seen, watchers, strict=True):
        polls = list(itertools.chain(*(watcher.stop() for watcher in of_node)))
        each.add(polls, clicked, answered)


def _enrolled(node: Server, folder: Path, number: int) -> list[str]:
    """New devices and their files; their names."""
    names = [f"bench-{next(_numbers)}" for _ in range(number)]
    token = node.token("--pattern", "bench-*", "--uses", str(number))
    context = ssl.create_default_context(cafile=str(node.demo / "ca.pem"))
    connection = HTTPSConnection("localhost", node.ports["provisioning"], context=context)
    for name in names:
        device = Device.made(node, folder, name)
        csr = (folder / f"{name}.csr").read_bytes()
        connection.request("POST", "/sign-csr", csr, {"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        device.certificate.write_bytes(answer.read())
        if answer.status != 200:
            raise RuntimeError(f"no certificate: {device.certificate.read_text()}")
    connection.close()
    return names


def _serial(pem: Path) -> str:
    return f"{x509.load_pem_x509_certificate(pem.read_bytes()).serial_number:x}"


def _percentiles(seconds: list[float]) -> str:
    """The median and the 99th percentile, in milliseconds."""
    p99 = sorted(seconds)[max(0, -(-len(seconds) * 99 // 100) - 1)]
    return f"{statistics.median(seconds) * 1000:.1f} / {p99 * 1000:.1f}"


if __name__ == "__main__":
    main()
