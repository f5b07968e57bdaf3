"""A device on a raw TLS socket: it keeps connections alive, resumes sessions, and can be rude."""

import json
import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.clients import make_csr, run
from tests.server import Server

TIMEOUT = 20.0  # seconds; more than any deadline of the server


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        assert self.headers["content-type"] == "application/problem+json"
        return self.json["code"]


class Connection:
    """One TLS connection to a listener."""

    def __init__(self, server: Server, listener: str, context: ssl.SSLContext, session=None) -> None:
        raw = socket.create_connection(("127.0.0.1", server.ports[listener]), TIMEOUT)
        self.tls = context.wrap_socket(raw, server_hostname="localhost", session=session)

    def get(self, path: str) -> Answer:
        return self.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    def send(self, data: bytes) -> Answer:
        self.tls.sendall(data)
        return self.answer()

    def answer(self) -> Answer:
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._more(received)
        head, _, body = received.partition(b"\r\n\r\n")
        status_line, *fields = head.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (field.split(": ", 1) for field in fields)}
        while len(body) < int(headers["content-length"]):
            body += self._more(body)
        return Answer(int(status_line.split()[1]), headers, body)

    def _more(self, received: bytes) -> bytes:
        chunk = self.tls.recv(65536)
        if not chunk:
            raise ConnectionError(f"ended after {received!r}")
        return chunk

    def ended(self) -> bool:
        """Wait for the server to end the connection."""
        try:
            while self.tls.recv(65536):
                pass
        except (ConnectionError, ssl.SSLError):
            pass
        return True

    def close(self) -> None:
        self.tls.close()


@dataclass
class Device:
    """An enrolled device and its files."""

    name: str
    server: Server
    folder: Path
    connections: list[Connection] = field(default_factory=list)

    @property
    def certificate(self) -> Path:
        """The PEM file of what it was given: its certificate, then the chain."""
        return self.folder / f"{self.name}.pem"

    @classmethod
    def made(cls, server: Server, folder: Path, name: str) -> "Device":
        """A device with a key and a CSR, and no certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        (folder / f"{name}.key").write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        (folder / f"{name}.csr").write_bytes(make_csr(name, key=key))
        return cls(name, server, folder)

    @classmethod
    def enrolled(cls, server: Server, folder: Path, name: str) -> "Device":
        device = cls.made(server, folder, name)
        device.enroll(server.token("--device", name))
        return device

    def enroll(self, token: str | None = None) -> None:
        """Post the CSR with curl, and keep what is answered: a certificate."""
        done = self.ask(token)
        assert done.returncode == 0, done

    def ask(self, token: str | None = None) -> CompletedProcess:
        """Post the CSR with curl; its exit status is 22 if no certificate came."""
        proof = ("-H", f"Authorization: Bearer {token}") if token else ()
        return run(
            *("curl", "-sS", "--fail-with-body", "--cacert", self.server.demo / "ca.pem", *proof),
            *("--data-binary", f"@{self.name}.csr", "-o", f"{self.name}.pem"),
            *("-w", "%{http_code}", self.server.url("provisioning", "/sign-csr")),
            cwd=self.folder,
        )

    def context(self, *, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.server.demo / "ca.pem"))
        context.load_cert_chain(self.certificate, self.folder / f"{self.name}.key")
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context

    def connect(self, context: ssl.SSLContext | None = None, session=None) -> Connection:
        connection = Connection(self.server, "secure", context or self.context(), session)
        self.connections.append(connection)
        return connection

    def close(self) -> None:
        for connection in self.connections:
            connection.close()

    def curl(self, path: str = "/secure"):
        return run(
            *("curl", "-sS", "--cacert", self.server.demo / "ca.pem"),
            *("--cert", f"{self.name}.pem", "--key", f"{self.name}.key", self.server.url("secure", path)),
            cwd=self.folder,
        )
