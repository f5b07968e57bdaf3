"""The device at the other end. This module is the only reader of a client certificate."""

from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.http import HttpRequest

from pki.core import pins
from pki.core.errors import Refusal


class ClientCertificateMissing(Refusal):
    """The connection came without a client certificate."""

    code = "client_certificate_missing"


class MutualTls(Protocol):
    """What is asked of the socket that a request came in on (`portal.tls` makes it)."""

    @property
    def peer_certificate(self) -> x509.Certificate | None:
        """The client certificate, its chain verified in this handshake or in the one that is resumed."""
        ...

    @property
    def protocol(self) -> str: ...

    @property
    def cipher(self) -> str: ...

    @property
    def resumed(self) -> bool: ...


class Peer:
    """A client certificate whose chain the TLS handshake verified; `standing` must still be asked."""

    def __init__(self, certificate: x509.Certificate, connection: MutualTls) -> None:
        self.certificate = certificate
        self.connection = connection
        self.fingerprint = pins.fingerprint(certificate.public_bytes(Encoding.DER))


def peer(request: HttpRequest) -> Peer:
    """Who sent this request. It comes from the socket alone, never from a header.

    Raises ClientCertificateMissing.
    """
    connection: MutualTls | None = request.META.get("gunicorn.socket")
    certificate = getattr(connection, "peer_certificate", None)
    if connection is None or certificate is None:
        raise ClientCertificateMissing("This address needs a client certificate (mutual TLS).")
    return Peer(certificate, connection)


def address(request: HttpRequest) -> str | None:
    """The IP address that the connection came from; None where there is none (a Unix socket)."""
    return request.META.get("REMOTE_ADDR") or None
