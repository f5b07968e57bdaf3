"""HAProxy before two nodes, from the example's file, and connections that play a balancer."""

import csv
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.clients import needs
from tests.live.devices import TIMEOUT
from tests.server import LISTENERS, ROOT, STARTS_WITHIN, Server, free_ports

EXAMPLE = ROOT / "examples" / "haproxy" / "nodes.cfg"
# Linux has all of 127.0.0.0/8: each plays another machine.
BALANCER, CLIENT, STRANGER = (f"127.0.0.{number}" for number in (7, 8, 9))
_ADMIN = "haproxy.sock"  # beside its file
NUMBERS = {"8443": "hello", "8444": "secure", "8445": "provisioning", "8446": "console", "8080": "status"}


@dataclass
class Front:
    """What devices take for a Hatchery."""

    demo: Path
    file: Path  # HAProxy's
    ports: dict[str, int]

    def marks(self, node: str) -> set[str]:
        """What HAProxy thinks of a node as a whole: UP, DOWN, or both if its listeners differ."""
        with closing(socket.socket(socket.AF_UNIX)) as admin:
            admin.connect(str(self.file.with_name(_ADMIN)))
            admin.sendall(b"show stat\n")
            lines = b"".join(iter(lambda: admin.recv(65536), b"")).decode().removeprefix("# ").splitlines()
        rows = csv.DictReader(line for line in lines if line)
        return {
            row["status"].split()[0] for row in rows if row["svname"] == node and row["pxname"] in LISTENERS
        }

    def url(self, listener: str, path: str = "/") -> str:
        scheme = "http" if listener == "status" else "https"
        return f"{scheme}://localhost:{self.ports[listener]}{path}"


@contextmanager
def balanced(nodes: Sequence[Server], folder: Path) -> Iterator[Front]:
    """HAProxy before these nodes, as the example has it but for names, ports and its own address."""
    program = needs("haproxy", package="haproxy")
    ports = dict(zip(LISTENERS, free_ports(len(LISTENERS)), strict=True))
    text = re.sub(
        r"hatchery-(\d)\.example:(\d+)",
        lambda found: f"127.0.0.1:{nodes[int(found[1]) - 1].ports[NUMBERS[found[2]]]}",
        EXAMPLE.read_text(),
    )
    text = re.sub(r"bind :(\d+)", lambda found: f"bind 127.0.0.1:{ports[NUMBERS[found[1]]]}", text)
    file = folder / "haproxy.cfg"
    text = text.replace("default-server ", f"default-server source {BALANCER} ")
    file.write_text(f"global\n    stats socket {folder / _ADMIN}\n\n{text}")
    with (folder / "haproxy.log").open("ab") as log:
        haproxy = subprocess.Popen([program, "-db", "-f", file], stdout=log, stderr=log)
    try:
        _await_all(ports, haproxy, folder)
        yield Front(nodes[0].demo, file, ports)
    finally:
        haproxy.terminate()
        haproxy.wait(timeout=20)


def _await_all(ports: dict[str, int], haproxy: subprocess.Popen, folder: Path) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    for port in ports.values():
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), TIMEOUT).close()
                break
            except OSError:
                if haproxy.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError((folder / "haproxy.log").read_text()) from None
                time.sleep(0.05)


def coming_from(address: str, server: Server | Front, listener: str) -> socket.socket:
    """A bare connection to a listener, from an address."""
    there = ("127.0.0.1", server.ports[listener])
    return socket.create_connection(there, TIMEOUT, source_address=(address, 0))


def header(client: str, *, command: int = 0x21) -> bytes:
    """A header of the PROXY protocol's version 2, of a client that came by IPv4."""
    addresses = socket.inet_aton(client) + socket.inet_aton("192.0.2.1")
    ports = (49152).to_bytes(2, "big") + (8444).to_bytes(2, "big")
    return b"\r\n\r\n\x00\r\nQUIT\n" + bytes((command, 0x11, 0, 12)) + addresses + ports
