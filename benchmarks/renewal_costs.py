"""CPU milliseconds of the server's processes for what a device does to renew: SQLite, one device at a time.

`python -m benchmarks.renewal_costs [--devices N]` prints a table. Each request is on a new connection with
the device's own certificate, as `examples/agent/hatchery-agent` makes it; the median of five rounds.
"""

import argparse
import http.client
import ssl
import statistics
import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from benchmarks.compare import accounts
from tests.clients import make_csr
from tests.server import Server

_ROUNDS = 5


class Agent:
    """A device, and the files of its pair."""

    def __init__(self, server: Server, folder: Path, name: str) -> None:
        self.server, self.name = server, name
        self.pair = folder / f"{name}.pem"

    def enroll(self, token: str) -> None:
        self.make_request()
        headers = {"Authorization": f"Bearer {token}"}
        self.store(self._ask("provisioning", "POST", "/sign-csr", self.request, headers))

    def make_request(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.request = make_csr(self.name, key=self.key)

    def store(self, certificate: bytes) -> None:
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.pair.write_bytes(key + certificate)

    def renew(self) -> None:
        self.answer = self._ask("secure", "POST", "/renew", self.request)

    def get(self, path: str) -> None:
        self._ask("secure", "GET", path)

    def _ask(
        self,
        listener: str,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> bytes:
        context = ssl.create_default_context(cafile=str(self.server.demo / "ca.pem"))
        if listener == "secure":
            context.load_cert_chain(self.pair)
        connection = http.client.HTTPSConnection("localhost", self.server.ports[listener], context=context)
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        read = response.read()
        connection.close()
        if response.status != 200:
            raise RuntimeError(f"{method} {path}: {response.status}: {read[:300]!r}")
        return read


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=1000, help="how many renew (1000)")
    devices = parser.parse_args().devices // _ROUNDS * _ROUNDS
    with tempfile.TemporaryDirectory(prefix="hatchery-bench-") as folder, ExitStack() as stack:
        server = Server(Path(folder) / "data")
        stack.callback(server.start().stop)
        token = server.token("--pattern", "bench-*", "--uses", str(devices))
        agents = [Agent(server, Path(folder), f"bench-{number}") for number in range(devices)]
        for agent in agents:
            agent.enroll(token)
        print(f"{'request':<20} {'CPU ms':>7} {'(min to max of rounds)':>24}")
        _measure(server, "GET /renewal-info", agents, lambda agent: agent.get("/renewal-info"))
        for agent in agents:
            agent.make_request()
        _measure(server, "POST /renew", agents, Agent.renew)
        for agent in agents:
            agent.store(agent.answer)
        _measure(server, "GET /secure, first", agents, lambda agent: agent.get("/secure"))
        _measure(server, "GET /ca-bundle", agents, lambda agent: agent.get("/ca-bundle"))


def _used(server: Server) -> float:
    return accounts.cpu_seconds(accounts.with_children(server.process.pid if server.process else 0))


def _measure(server: Server, what: str, agents: Iterable[Agent], deed: Callable[[Agent], None]) -> None:
    agents = list(agents)
    each = len(agents) // _ROUNDS
    cpu = []
    for first in range(0, len(agents), each):
        before = _used(server)
        for agent in agents[first : first + each]:
            deed(agent)
        cpu.append((_used(server) - before) / each * 1000)
    print(
        f"{what:<20} {statistics.median(cpu):>7.2f} {f'({min(cpu):.2f} to {max(cpu):.2f})':>24}", flush=True
    )


if __name__ == "__main__":
    main()
