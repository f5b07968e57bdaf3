"""Something that answers in Hatchery's place, whatever a test wants, and the CAs behind it."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.now(UTC)


class Authority:
    """A CA, or with `ca=False` whoever has a certificate of one."""

    def __init__(
        self, name: str, above: "Authority | None" = None, *, ca: bool = True, key=None, **more
    ) -> None:
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = (above or self).certify(self.name, self.key.public_key(), ca=ca, **more)

    def certify(
        self,
        name: x509.Name,
        key,
        *,
        ca: bool = False,
        begins: timedelta = timedelta(hours=-1),
        life=timedelta(days=30),
        usages=(ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH),
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW + begins)
            .not_valid_after(NOW + begins + life)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            builder = builder.add_extension(
                x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False
            )
        return builder.sign(self.key, hashes.SHA256())

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def for_csr(self, csr: bytes, name: str | None = None, key=None, **validity: timedelta) -> bytes:
        """A certificate as a device asks for it, or for another name, another key, another time."""
        request = x509.load_pem_x509_csr(csr)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) if name else request.subject
        certificate = self.certify(subject, key or request.public_key(), **validity)
        return certificate.public_bytes(Encoding.PEM)


@dataclass
class Answer:
    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


# Answers a body (a CSR, or nothing), to who showed the certificate with this serial.
Rule = Callable[[bytes, int | None], Answer]


class Impostor(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, folder: Path, root: Authority) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.rules: dict[str, Rule] = {}
        self.asked: list[str] = []
        self.query = ""  # of what was asked last
        self.root = root
        server = Authority("localhost", root, ca=False)
        (folder / "impostor.pem").write_bytes(server.key_pem + server.pem)
        (folder / "impostor-ca.pem").write_bytes(root.pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "impostor.pem")
        context.load_verify_locations(folder / "impostor-ca.pem")
        context.verify_mode = ssl.CERT_OPTIONAL
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.server_address[1]}"

    def shutdown_request(self, request: ssl.SSLSocket) -> None:
        # What a refused client has sent meanwhile is read: otherwise a reset would overtake the alert.
        with suppress(OSError):
            request.shutdown(socket.SHUT_WR)
            request.settimeout(5)
            while socket.socket.recv(request, 4096):
                pass
        self.close_request(request)

    def handle_error(self, *args: object) -> None:
        """Nothing is printed of clients that go away."""


class _Handler(BaseHTTPRequestHandler):
    server: Impostor

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        shown = self.connection.getpeercert()
        path, _, self.server.query = self.path.lstrip("/").partition("?")
        self.server.asked.append(path)
        rule = self.server.rules.get(path, lambda *_: Answer(status=404))
        answer = rule(body, int(shown["serialNumber"], 16) if shown else None)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    do_POST = do_GET

    def log_message(self, *args: object) -> None:
        """Nothing is printed."""


@contextmanager
def answering(folder: Path, root: Authority) -> Iterator[Impostor]:
    with Impostor(folder, root) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def signed_bundle(folder: Path, signer: Authority, contents: bytes, *chain: Authority) -> bytes:
    """A text as CMS SignedData, DER, as /ca-bundle serves it, with the CAs above its signer."""
    (folder / "signer.pem").write_bytes(signer.key_pem + signer.pem)
    (folder / "chain.pem").write_bytes(b"".join(each.pem for each in chain))
    return subprocess.run(
        [
            "openssl",
            "cms",
            "-sign",
            "-binary",
            "-nodetach",
            "-outform",
            "DER",
            "-signer",
            folder / "signer.pem",
            "-certfile",
            folder / "chain.pem",
        ],
        input=contents,
        capture_output=True,
        check=True,
    ).stdout
