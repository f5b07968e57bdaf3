"""The servers that `python -m benchmarks.compare` measures beside Hatchery do what they are measured for.

Here are those that start in no time; cfssl, step-ca and django-ca run in the benchmark alone.
"""

import socket
import ssl
import subprocess
from dataclasses import replace
from urllib.parse import urlsplit

import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from benchmarks.alternatives import nginx, plain_go, programs
from benchmarks.compare.served import Job, Missing
from tests.clients import make_csr, needs
from tests.core.cast import block
from tests.forks import ROOT
from tests.live.devices import TIMEOUT, Answer, Connection
from tests.server import free_ports


class Asking(Connection):
    """A connection to where a job goes."""

    def __init__(self, job: Job, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> None:
        url = urlsplit(job.url)
        raw = socket.create_connection((url.hostname, url.port), TIMEOUT)
        self.tls = context.wrap_socket(raw, server_hostname=url.hostname, session=session)


def context(job: Job) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=job.ca)
    if job.certificate:
        made.load_cert_chain(job.certificate, job.key)
    return made


def ask(job: Job, body: bytes = b"", **headers: str) -> Answer:
    lines = [f"{job.method} {urlsplit(job.url).path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in {**job.headers, **headers}.items()]
    connection = Asking(job, context(job))
    answer = connection.send("\r\n".join([*lines, f"Content-Length: {len(body)}\r\n\r\n"]).encode() + body)
    connection.close()
    return answer


def resumes(job: Job) -> bool:
    """Whether a second connection resumes the session that the first one had."""
    known, path = context(job), urlsplit(job.url).path
    first = Asking(job, known)
    first.get(path)  # RFC 8446 4.6.1: the ticket comes after the handshake
    second = Asking(job, known, first.tls.session)
    assert second.get(path).status == 200
    resumed = second.tls.session_reused
    first.close()
    second.close()
    return resumed


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    needs("go", package="golang-go")
    with plain_go.serve(tmp_path_factory.mktemp("go")) as served:
        yield served


def test_the_plain_go_server_says_what_hatchery_says(plain):
    hello, secure = (ask(plain.jobs[name](1)) for name in ("hello", "secure"))
    assert hello.json == {"message": "Hello from TLS server", "auth": "server-only (one-way TLS)"}
    assert secure.json == {
        "message": "Hello bench-client, mutual trust established",
        "auth": "mutual TLS (both sides verified)",
        "client": "bench-client",
    }


def test_the_plain_go_server_lets_nobody_in_without_a_certificate(plain):
    job = plain.jobs["secure"](1)
    stranger = Asking(job, ssl.create_default_context(cafile=job.ca))
    with pytest.raises((ssl.SSLError, ConnectionError)):
        stranger.get("/secure")
    stranger.close()


def test_the_plain_go_server_signs_for_the_key_of_the_request(plain):
    job = plain.jobs["sign-csr"](2)
    first, second = (request.body for request in job.requests)
    answer = ask(job, first)
    leaf, issuer = x509.load_pem_x509_certificates(answer.body)
    leaf.verify_directly_issued_by(issuer)
    issuer.verify_directly_issued_by(x509.load_pem_x509_certificate(job.ca.read_bytes()))
    assert leaf.public_key() == x509.load_pem_x509_csr(first).public_key() != x509.load_pem_x509_csr(second)
    assert leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "bench-0"
    usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_the_plain_go_server_checks_the_token_and_the_signature(plain):
    job = plain.jobs["sign-csr"](1)
    csr = make_csr("bench-0")
    assert ask(job, csr, Authorization="Bearer guessed").status == 401
    assert ask(job, broken(csr)).status == 400


def broken(csr: bytes) -> bytes:
    """The same CSR with another signature."""
    der = bytearray(x509.load_pem_x509_csr(csr).public_bytes(Encoding.DER))
    der[-1] ^= 1
    return block("CERTIFICATE REQUEST", bytes(der))


@pytest.mark.parametrize(("serve", "resumed"), [(nginx.without_tickets, False), (nginx.with_tickets, True)])
def test_nginx_verifies_clients_and_resumes_sessions_only_with_tickets(serve, resumed, tmp_path):
    needs("nginx", package="nginx-light")
    with serve(tmp_path) as served:
        job = served.jobs["secure"](1)
        assert ask(job).json["client"] == "CN=bench-client"
        assert ask(replace(job, certificate=None)).status == 400
        assert resumes(served.jobs["hello"](1)) == resumes(job) == resumed
        assert ("resumed" in served.connections) == resumed
        processes = served.processes()
    assert len(processes) == 3  # the master and two workers
    assert not any(map(psutil.Process.is_running, processes))


def test_what_is_not_installed_is_told_with_how_to_get_it():
    with pytest.raises(
        Missing, match="no-such-program is not installed; on Debian: apt-get install its-package"
    ):
        programs.program("no-such-program", package="its-package")


def test_what_does_not_start_is_told_with_its_own_words(tmp_path):
    with (
        pytest.raises(RuntimeError, match="no such ship"),
        programs.running(["sh", "-c", "echo no such ship; exit 1"], tmp_path, free_ports(1)),
    ):
        pytest.fail("it did start")


@pytest.mark.parametrize("folder", ["alternatives/go", "load"])
def test_the_go_sources_are_formatted_and_vetted(folder):
    needs("go", package="golang-go")
    for command in (["gofmt", "-l", "."], ["go", "vet", "./..."]):
        done = subprocess.run(command, cwd=ROOT / "benchmarks" / folder, capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
