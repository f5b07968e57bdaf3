"""Hatchery as what is measured: a server of its own, on SQLite or on a PostgreSQL of its own.

Either begins with nothing, or with a copy of what `benchmarks.compare.seeding` made.
"""

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import psutil
from cryptography import x509

from benchmarks.compare import accounts
from benchmarks.compare.served import Job, Missing, Prepare, Request, Served
from tests import postgres
from tests.clients import which
from tests.core.ocsp_cast import NONCE, asked
from tests.forks import ROOT
from tests.server import Server

SQLITE, POSTGRESQL = "Hatchery, SQLite", "Hatchery, PostgreSQL"
# What a seeded folder has: the data directory, and the folder of the PostgreSQL.
DATA, CLUSTER = "data", "cluster"
STATUS = ("ocsp", "ocsp-nonce", "crl")  # over http: what is answered is signed itself


@contextmanager
def on_sqlite(folder: Path, seeded: Path | None = None) -> Iterator[Served]:
    """On SQLite, whose time is that of the server's own processes."""
    with _started(folder, "", seeded) as (server, jobs):
        yield Served(
            SQLITE,
            lambda: accounts.with_children(_pid(server.process)),
            jobs,
            stores=True,
            plain=STATUS,
        )


@contextmanager
def on_postgresql(folder: Path, seeded: Path | None = None) -> Iterator[Served]:
    """On a PostgreSQL that waits for the disk, as in production, with its default settings."""
    data = seeded / CLUSTER if seeded else None
    with (
        postgres.cluster(initdb(), durable=True, data=data) as cluster,
        _started(folder, cluster.url, seeded) as (server, jobs),
    ):
        yield Served(
            POSTGRESQL,
            lambda: accounts.with_children(_pid(server.process)),
            jobs,
            lambda: accounts.with_children(_pid(cluster.server)),
            stores=True,
            plain=STATUS,
        )


def initdb() -> str:
    """The path of PostgreSQL's program that makes a cluster. Raises Missing."""
    found = which(postgres.PROGRAM)
    if found is None:
        raise Missing(f"PostgreSQL is not installed; on Debian: apt-get install {postgres.PACKAGE}")
    return found


def _pid(process: subprocess.Popen | None) -> int:
    if process is None:
        raise psutil.NoSuchProcess(0)
    return process.pid


@contextmanager
def _started(
    folder: Path, database_url: str, seeded: Path | None
) -> Iterator[tuple[Server, dict[str, Prepare]]]:
    data = folder / DATA
    if seeded:
        shutil.copytree(seeded / DATA, data)
        _bring_to_memory(data)
    server = Server(data, {"DATABASE_URL": database_url})
    with ExitStack() as stack:
        stack.callback(server.start().stop)
        fresh = Fresh(server)
        stack.callback(fresh.end)
        yield server, jobs(server, fresh)


def _bring_to_memory(folder: Path) -> None:
    """Let the kernel have all files in memory, as after days of service; a question that waits for the disk
    takes CPU of the server as well.
    """
    for path in filter(Path.is_file, folder.rglob("*")):
        with path.open("rb") as file:
            while file.read(1 << 20):
                pass


class Fresh:
    """The process that prepares requests: see `preparing`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._process: subprocess.Popen[str] | None = None

    def __call__(self, operation: str, number: int) -> list[dict[str, str]]:
        if self._process is None:
            command = [sys.executable, "-m", "benchmarks.compare.preparing"]
            pipe, environment = subprocess.PIPE, self._server.environment
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, text=True
            )
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("it has no pipes")
        print(operation, number, file=self._process.stdin, flush=True)
        told = self._process.stdout.readline()
        if not told:
            raise RuntimeError(f"{number} requests for {operation} could not be prepared")
        return json.loads(told)

    def end(self) -> None:
        if self._process is not None:
            self._process.communicate()


def jobs(server: Server, fresh: Callable[[str, int], list[dict[str, str]]]) -> dict[str, Prepare]:
    ca = server.demo / "ca.pem"
    pair = {"certificate": server.demo / "client.pem", "key": server.demo / "client.key"}

    def sign_csr(number: int) -> Job:
        requests = tuple(
            Request({"Authorization": f"Bearer {each['token']}"}, each["csr"].encode())
            for each in fresh("sign-csr", number)
        )
        return Job(server.url("provisioning", "/sign-csr"), ca, method="POST", requests=requests)

    def renew(number: int) -> Job:
        requests = tuple(
            Request({}, each["csr"].encode(), each["certificate"], each["key"])
            for each in fresh("renew", number)
        )
        url = server.url("secure", "/renew")
        return Job(url, ca, method="POST", requests=requests, prime="/renewal-info")

    return {
        "hello": lambda _: Job(server.url("hello", "/hello"), ca),
        "secure": lambda _: Job(server.url("secure", "/secure"), ca, **pair),
        "sign-csr": sign_csr,
        "renew": renew,
        **_status_jobs(server),
    }


def _status_jobs(server: Server) -> dict[str, Prepare]:
    """OCSP's answer that was signed before, one with a nonce, signed each time, and the demo client's CRL."""
    certificate, issuer = x509.load_pem_x509_certificates((server.demo / "client.pem").read_bytes())[:2]
    encoded = quote(base64.b64encode(asked(certificate, issuer)).decode(), safe="")
    kept = Job(server.url("status", f"/ocsp/{encoded}"))
    nonce = Job(
        server.url("status", "/ocsp"),
        method="POST",
        headers={"Content-Type": "application/ocsp-request"},
        body=asked(certificate, issuer, nonce=NONCE),
    )
    points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    (address,) = points[0].full_name or ()
    crl = Job(server.url("status", urlsplit(address.value).path))
    return {"ocsp": lambda _: kept, "ocsp-nonce": lambda _: nonce, "crl": lambda _: crl}
