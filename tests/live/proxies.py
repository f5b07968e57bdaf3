"""Proxies as raw connections: each writes what it likes, from an address of its own."""

import socket
from pathlib import Path
from urllib.parse import quote

from cryptography import x509

from tests.live.devices import TIMEOUT, Answer, Connection, Device
from tests.server import Server

# Linux has all of 127.0.0.0/8: each plays another machine.
NGINX, TRAEFIK, ENVOY, HAPROXY, RFC9440 = (f"127.0.0.{number}" for number in range(1, 6))
STRANGER = "127.0.0.9"
NAMED = f"nginx@{NGINX},traefik@{TRAEFIK},envoy@{ENVOY},haproxy@{HAPROXY},rfc9440@{RFC9440}"


def request(path: str, *headers: str, method: str = "GET") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


class Plain(Connection):
    """A connection without TLS, from an address."""

    def __init__(self, server: Server, listener: str, address: str = NGINX) -> None:
        there = ("127.0.0.1", server.ports[listener])
        self.tls = socket.create_connection(there, TIMEOUT, source_address=(address, 0))

    def ask(self, path: str, *headers: str, method: str = "GET") -> Answer:
        return self.send(request(path, *headers, method=method))


def ask(server: Server, listener: str, path: str, *headers: str, address: str = NGINX) -> Answer:
    """The answer to one request without TLS."""
    connection = Plain(server, listener, address)
    try:
        return connection.ask(path, *headers)
    finally:
        connection.close()


_tokens: dict[Path, str] = {}


def enrolled(server: Server, folder: Path, name: str) -> Device:
    """A new device, by a token that a server's tests share: to make one takes a process."""
    token = _tokens.get(server.data) or server.token("--pattern", "*", "--uses", "200")
    _tokens[server.data] = token
    device = Device.made(server, folder, name)
    device.enroll(token)
    return device


def certificate(folder: Path, name: str) -> x509.Certificate:
    """A device's certificate from its file, without its chain."""
    return x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())


def nginx(folder: Path, name: str) -> str:
    """The header that nginx sets for a device."""
    block = (folder / f"{name}.pem").read_text().partition("-----END")[0] + "-----END CERTIFICATE-----\n"
    return f"X-SSL-Client-Cert: {quote(block, safe='')}"
