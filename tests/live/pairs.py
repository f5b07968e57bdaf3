"""Both ends of a connection in one process, with a worker or without."""

import selectors
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.utils import timezone
from gunicorn.config import Config
from OpenSSL import SSL, crypto

from portal.gunicorn_log import GunicornLog
from portal.listeners import SMALL, Listener, TlsMode, all_listeners
from portal.sockets import DONE, READ, ClientSocket
from portal.tls import TlsSocket
from portal.worker import Connection, PortalWorker

WITHIN = 10.0  # seconds, generous


def self_signed() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A certificate for both ends that trusts itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), timezone.now()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.serial_number(1).sign(key, hashes.SHA256()), key


def context(
    method: int, certificate: x509.Certificate | None = None, key: ec.EllipticCurvePrivateKey | None = None
) -> SSL.Context:
    """OpenSSL's defaults, with a certificate to show and to trust."""
    made = SSL.Context(method)
    made.set_options(SSL.OP_NO_RENEGOTIATION)
    made.set_session_id(b"test")
    if certificate is not None and key is not None:
        made.use_certificate(certificate)
        made.use_privatekey(key)
        store = made.get_cert_store()
        assert store is not None
        store.add_cert(crypto.X509.from_cryptography(certificate))
    return made


def shake(client: SSL.Connection, server: TlsSocket) -> None:
    """Go through the handshake; both sockets do not block. Raises HandshakeFailed."""
    event = READ
    while event != DONE:
        with suppress(SSL.WantReadError):
            client.do_handshake()
        event = server.handshake()
    with suppress(SSL.WantReadError):
        client.do_handshake()


def shaken(
    client: SSL.Connection,
    ours: socket.socket,
    first: SSL.Context,
    current: SSL.Context | None = None,
    listener: str = "hello",
) -> TlsSocket:
    """The server's end of the connection that a client has begun. Raises HandshakeFailed."""
    server = TlsSocket(ours, all_listeners()[listener], "127.0.0.1", first, current or first)
    shake(client, server)
    return server


class Worker:
    """A worker in this process, that serves the connections that it is given."""

    def __init__(self, application: Callable | None = None) -> None:
        config = Config()
        log = GunicornLog(config)
        log.error_log.handlers.clear()
        log.error_log.propagate = True  # pytest's handler is at the root
        self.worker = PortalWorker(0, 0, [], None, 1, config, log)
        self.worker.wsgi = application
        self.worker.poller = selectors.DefaultSelector()
        self.worker.tpool = self.worker.get_thread_pool()
        queue = self.worker.method_queue
        queue.init()
        self.worker.poller.register(queue.fileno(), READ, queue.run_callbacks)

    def connected(self, kind: type[ClientSocket] = ClientSocket) -> socket.socket:
        """The client's end of a connection that waits for its first byte."""
        listener = Listener("hello", 1, TlsMode.PLAIN, "portal.urls.status", SMALL)
        client, raw = socket.socketpair()
        conn = Connection(self.worker.cfg, kind(raw, listener, ""), ("", 1), ("", 2))
        conn.deadline = time.monotonic() + 60
        self.worker.nr_conns += 1
        self.worker.wait(conn, READ)
        client.settimeout(WITHIN)
        return client

    def turn(self, until: Callable[[], object]) -> None:
        """Serve events until something is so."""
        deadline = time.monotonic() + WITHIN
        while not until():
            assert time.monotonic() < deadline
            self.worker.wait_for_and_dispatch_events(0.05)

    def answered(self, client: socket.socket, request: bytes) -> bytes:
        """All that the client is sent until the worker says goodbye."""
        client.sendall(request)
        received = bytearray()
        client.setblocking(False)

        def ended() -> bool:
            with suppress(BlockingIOError):
                while chunk := client.recv(65536):
                    received.extend(chunk)
                return True
            return False

        with client:
            self.turn(until=ended)
        return bytes(received)

    def end(self) -> None:
        self.worker.murder_keepalived(force=True)
        self.worker.tpool.shutdown()
        self.worker.watchers.shutdown()
        self.worker.poller.close()
        self.worker.method_queue.close()
        self.worker.tmp.close()


@contextmanager
def working(application: Callable | None = None) -> Iterator[Worker]:
    """A worker for a while."""
    made = Worker(application)
    try:
        yield made
    finally:
        made.end()
