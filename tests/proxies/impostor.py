"""A status listener that answers whatever a test wants, and CAs that anybody can make."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

NOW = datetime.now(UTC)


def spaced(pem: bytes) -> bytes:
    """OpenSSL reads it all the same."""
    return re.sub(rb"(?m)^(-----.*-----)$", rb"\1 ", pem)


class Authority:
    """A CA that signs lists."""

    def __init__(self, name: str, above: "Authority | None" = None, ca: bool = True) -> None:
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name((above or self).name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=1))
            .not_valid_after(NOW + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .sign((above or self).key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def crl(self, number: int | None, *extensions: x509.ExtensionType, days: int = 0) -> bytes:
        """A list as PEM, made so many days from now, for a day."""
        made = NOW + timedelta(days=days)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.name)
            .last_update(made)
            .next_update(made + timedelta(days=1))
        )
        if number is not None:
            builder = builder.add_extension(x509.CRLNumber(number), critical=False)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=True)
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
        return f"http://127.0.0.1:{self.server_address[1]}"


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


@contextmanager
def answering() -> Iterator[Status]:
    with Status() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()
