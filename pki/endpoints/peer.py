"""The device at the other end. This module is the only reader of a client certificate."""

from datetime import datetime
from typing import Protocol

from cryptography import x509
from django.http import HttpRequest

from pki.core import chains, forwarded, pins
from pki.core.errors import Refusal
from pki.endpoints import forwarding, recording
from pki.services.fleet.sightings import SEEN, Sighting
from pki.services.proving import forwarded_clients, proxies, status
from pki.services.proving.status import Identity


class ClientCertificateMissing(Refusal):
    """The connection came without a client certificate."""

    code = "client_certificate_missing"


# What who sent a request may be refused for.
NOT_PROVEN: tuple[type[Refusal], ...] = (
    ClientCertificateMissing,
    forwarded.ForwardedCertificateMalformed,
    proxies.ProxyUnknown,
    *status.NotStanding.__subclasses__(),
    *chains.ChainRefused.__subclasses__(),
)


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
    """A client's certificate: one whose chain the TLS handshake verified, or one that a proxy forwarded.

    `proven` must still be asked.
    """

    def __init__(self, certificate: x509.Certificate, connection: MutualTls | None) -> None:
        self.certificate = certificate
        self.connection = connection  # None if it ends at a proxy
        self.fingerprint = pins.fingerprint_of(certificate)


def peer(request: HttpRequest) -> Peer:
    """Who sent this request: the other end of the connection, or whom a proxy that is believed forwards.

    Raises ClientCertificateMissing or ForwardedCertificateMalformed.
    """
    proxied = forwarding.of(request)
    if proxied.proxy is not None:
        certificate = forwarded.read(proxied.proxy.form, proxied.certificate)
        if certificate is None:
            raise ClientCertificateMissing(
                f"The proxy forwarded no client certificate in {proxied.proxy.form.header}."
            )
        return Peer(certificate, None)
    connection: MutualTls | None = request.META.get("gunicorn.socket")
    certificate = getattr(connection, "peer_certificate", None)
    if connection is None or certificate is None:
        raise ClientCertificateMissing("This address needs a client certificate (mutual TLS).")
    return Peer(certificate, connection)


def proven(request: HttpRequest, now: datetime, *, renewing: bool = False) -> tuple[Peer, Identity]:
    """Who sent this request, proven at this moment; who comes to renew may be late (`status.renewable`).

    It is asked at each request, because a resumed session or a kept-alive connection verifies nothing anew.
    Raises ClientCertificateMissing, ForwardedCertificateMalformed, NotStanding or ChainRefused.
    """
    client = None
    try:
        client = peer(request)
        identity = _identity(client, now, renewing=renewing)
    except Refusal as refusal:
        recording.turned_away(request, client.certificate if client else None, refusal, now)
        raise
    if now > identity.not_after:
        # Let in by grace, to renew and for nothing else: it has not shown that it has a good certificate.
        return client, identity
    _note(request, client, identity, now)
    return client, identity


def note_bundle(request: HttpRequest, version: int, now: datetime) -> None:
    """Note that the device that sent this request has this version of the trust bundle now.

    Who is no device, or none that stands, is not turned away: the bundle is for everybody.
    """
    try:
        client = peer(request)
        identity = _identity(client, now)
    except Refusal:
        return
    _note(request, client, identity, now, version)


def _identity(client: Peer, now: datetime, *, renewing: bool = False) -> Identity:
    if client.connection is None:
        return forwarded_clients.proven(client.certificate, now)
    ask = status.renewable if renewing else status.standing
    return ask(client.fingerprint, now)


def _note(
    request: HttpRequest, client: Peer, identity: Identity, now: datetime, bundle_version: int | None = None
) -> None:
    version = client.connection.protocol if client.connection else ""
    SEEN.note(
        Sighting(identity.device_id, identity.certificate_id, now, address(request), version, bundle_version)
    )


def address(request: HttpRequest) -> str | None:
    """The client's IP address; None where it is not known."""
    return forwarding.client_address(request)
