"""What is measured: a server that runs, its processes, and what it can be asked for.

Whoever is compared is a function in `servers.py` that is given an empty folder and yields a `Served`:

    @contextmanager
    def plain_go(folder: Path) -> Iterator[Served]: ...
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

# In the order of the tables.
OPERATIONS = ("hello", "secure", "sign-csr", "renew", "ocsp", "ocsp-nonce", "crl")
CONNECTIONS = ("new", "resumed", "kept")


@dataclass(frozen=True)
class Request:
    """What one request has for itself."""

    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    certificate: str = ""  # PEM, with its chain: of a device that asks only this
    key: str = ""  # PEM


@dataclass(frozen=True)
class Job:
    """What clients ask for, again and again; see `benchmarks/load/job.go`."""

    url: str
    ca: Path | None = None  # PEM: who signs the server's certificate; none for http
    certificate: Path | None = None  # PEM, with its chain: of all clients, if they show one
    key: Path | None = None  # PEM
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""  # of each request
    requests: tuple[Request, ...] = ()  # fresh ones, each sent once, instead of the body
    prime: str = ""  # path that a request's own device gets beforehand, to have a session or a connection
    expect: int = 200  # status


# Makes a job for so many operations: with as many fresh requests, if each needs its own.
Prepare = Callable[[int], Job]


class Missing(Exception):
    """A program that is to be compared is not on this machine; the message says how to get it."""


def _none() -> list[psutil.Process]:
    return []


@dataclass(frozen=True)
class Served:
    """A server that runs."""

    name: str
    # All of its processes at this moment, master and workers: theirs are the CPU time and the memory.
    processes: Callable[[], list[psutil.Process]]
    jobs: Mapping[str, Prepare]  # by operation; what is not there it cannot do
    # Those of a database beside it, in a column of their own.
    database_processes: Callable[[], list[psutil.Process]] = _none
    stores: bool = False  # whether what it signs is on disk before the answer
    connections: tuple[str, ...] = CONNECTIONS  # that it can do
    stored: int = 0  # certificates that were there before
    plain: tuple[str, ...] = ()  # operations over http

    def can(self, operation: str, connections: str) -> bool:
        """Whether it does this. Without TLS there is no session to resume."""
        if operation not in self.jobs or connections not in self.connections:
            return False
        return connections != "resumed" or operation not in self.plain


Starts = Callable[[Path], AbstractContextManager[Served]]
