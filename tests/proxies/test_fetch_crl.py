"""examples/crl/fetch-crl: a good list is never replaced by anything but a better one."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.clients import run
from tests.proxies.fronts import EXAMPLES

NOW = datetime.now(UTC)
END = b"-----END X509 CRL-----\n"


class Authority:
    """A CA that signs lists."""

    def __init__(self, name: str) -> None:
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(self.name)
            .public_key(self.key.public_key())
            .serial_number(1)
            .not_valid_before(NOW - timedelta(days=1))
            .not_valid_after(NOW + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )

    def crl(self, number: int) -> bytes:
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.name)
            .last_update(NOW)
            .next_update(NOW + timedelta(days=1))
            .add_extension(x509.CRLNumber(number), critical=False)
        )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)


class Status(ThreadingHTTPServer):
    """What a status listener might answer on a bad day."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.status, self.body, self.announced, self.tag = 200, b"", 0, ""
        self.answered: list[int] = []

    def serve(self, body: bytes, *, status: int = 200, announced: int | None = None, tag: str = "") -> None:
        self.status, self.body, self.tag = status, body, tag
        self.announced = len(body) if announced is None else announced

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/crl/all.pem"


class _Answer(BaseHTTPRequestHandler):
    server: Status

    def do_GET(self) -> None:
        known = self.server.tag and self.headers["If-None-Match"] == self.server.tag
        self.server.answered.append(304 if known else self.server.status)
        self.send_response(self.server.answered[-1])
        if self.server.tag:
            self.send_header("ETag", self.server.tag)
        if not known:
            self.send_header("Content-Length", str(self.server.announced))
        self.end_headers()
        if not known:
            self.wfile.write(self.server.body)

    def log_message(self, *args: object) -> None:
        """Nothing is printed."""


@pytest.fixture
def status() -> Iterator[Status]:
    with Status() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def root() -> Authority:
    return Authority("root")


@pytest.fixture(scope="module")
def issuing() -> Authority:
    return Authority("issuing")


@pytest.fixture
def fetch(status, root, issuing, tmp_path):
    """Runs the script; the command leaves a line in `reloads` for each time that it was run."""
    authorities = b"".join(each.certificate.public_bytes(Encoding.PEM) for each in (root, issuing))
    (tmp_path / "all.pem").write_bytes(authorities)

    def script(command: str = "echo >>reloads"):
        return run(
            *(EXAMPLES / "crl" / "fetch-crl", status.url, "all.pem", "crl.pem", "sh", "-c", command),
            cwd=tmp_path,
        )

    return script


def reloads(folder) -> int:
    made = folder / "reloads"
    return len(made.read_text().splitlines()) if made.exists() else 0


def test_the_first_list_is_stored_and_the_proxy_told(fetch, status, root, issuing, tmp_path):
    status.serve(root.crl(1) + issuing.crl(1))
    assert fetch().returncode == 0
    assert (tmp_path / "crl.pem").read_bytes() == status.body
    assert reloads(tmp_path) == 1


def test_the_same_list_is_not_sent_again_and_nobody_is_told(fetch, status, root, issuing, tmp_path):
    status.serve(root.crl(1) + issuing.crl(1), tag='"one"')
    for _ in range(3):
        assert fetch().returncode == 0
    assert status.answered == [200, 304, 304]
    assert reloads(tmp_path) == 1


def test_a_new_list_takes_the_place_of_the_old_one(fetch, status, root, issuing, tmp_path):
    for number in (1, 2):
        status.serve(root.crl(1) + issuing.crl(number), tag=f'"{number}"')
        assert fetch().returncode == 0
    assert (tmp_path / "crl.pem").read_bytes() == status.body
    assert reloads(tmp_path) == 2


def test_a_list_that_was_lost_is_fetched_again(fetch, status, root, issuing, tmp_path):
    status.serve(root.crl(1) + issuing.crl(1), tag='"one"')
    fetch()
    (tmp_path / "crl.pem").unlink()
    assert fetch().returncode == 0
    assert (tmp_path / "crl.pem").read_bytes() == status.body


def test_a_proxy_that_could_not_reload_is_told_again(fetch, status, root, issuing, tmp_path):
    status.serve(root.crl(1) + issuing.crl(1), tag='"one"')
    failed = fetch("exit 1")
    assert failed.returncode == 1
    assert b"did not read the new list" in failed.stderr
    assert fetch().returncode == 0
    assert reloads(tmp_path) == 1


def half(good: bytes) -> dict:
    return {"body": good[: len(good) // 2], "announced": len(good)}


def half_and_nobody_knows(good: bytes) -> dict:
    return {"body": good[: len(good) // 3]}


def one_list_missing(good: bytes) -> dict:
    return {"body": good[: good.index(END) + len(END)]}


def nothing(good: bytes) -> dict:
    return {"body": b""}


def a_page(good: bytes) -> dict:
    return {"body": b"<html>Log in to this network</html>"}


def an_error(good: bytes) -> dict:
    return {"body": b"{}", "status": 503}


def a_redirect(good: bytes) -> dict:
    return {"body": b"", "status": 302}


def a_strangers_list(good: bytes) -> dict:
    return {"body": good + Authority("issuing").crl(9)}


def an_unknown_ca(good: bytes) -> dict:
    return {"body": good + Authority("mallory").crl(9)}


def a_changed_byte(good: bytes) -> dict:
    lines = good.splitlines(keepends=True)
    lines[2] = lines[2].swapcase()
    return {"body": b"".join(lines)}


def no_base64(good: bytes) -> dict:
    return {"body": good + b"-----BEGIN X509 CRL-----\n!!!!\n-----END X509 CRL-----\n"}


@pytest.mark.parametrize(
    "bad",
    [
        half,
        half_and_nobody_knows,
        one_list_missing,
        nothing,
        a_page,
        an_error,
        a_redirect,
        a_strangers_list,
        an_unknown_ca,
        a_changed_byte,
        no_base64,
    ],
)
def test_what_is_not_whole_and_signed_changes_nothing(fetch, status, root, issuing, tmp_path, bad):
    good = root.crl(1) + issuing.crl(1)
    status.serve(good, tag='"good"')
    assert fetch().returncode == 0
    status.serve(**bad(root.crl(1) + issuing.crl(2)), tag='"bad"')
    done = fetch()
    assert done.returncode == 1
    assert done.stderr.startswith(b"fetch-crl: ") or b"\nfetch-crl: " in done.stderr
    assert (tmp_path / "crl.pem").read_bytes() == good
    assert reloads(tmp_path) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"all.pem", "crl.pem", "crl.pem.etag", "reloads"}

    better = root.crl(2) + issuing.crl(2)
    status.serve(better, tag='"better"')
    assert fetch().returncode == 0
    assert (tmp_path / "crl.pem").read_bytes() == better


def test_a_hatchery_that_is_down_changes_nothing(fetch, status, root, issuing, tmp_path):
    status.serve(root.crl(1) + issuing.crl(1))
    assert fetch().returncode == 0
    status.shutdown()
    status.server_close()
    assert fetch().returncode == 1
    assert (tmp_path / "crl.pem").read_bytes() == status.body


def test_whoever_calls_it_wrongly_is_told_how():
    done = run(EXAMPLES / "crl" / "fetch-crl", "http://localhost/")
    assert done.returncode == 2
    assert b"usage: fetch-crl URL" in done.stderr
