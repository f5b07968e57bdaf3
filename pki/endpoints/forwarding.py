"""Headers in which proxies forward certificates: taken out of every request, and believed of named proxies.

The certificates themselves are read in `pki.endpoints.peer`.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from cryptography import x509
from django.http import HttpRequest
from django.utils import timezone

from pki.core import chains, pins, proxies, reading
from pki.core.errors import Refusal
from pki.core.forwarded import Form
from pki.core.proxies import Proxy
from pki.services.proving import status
from pki.services.proving.dropped_headers import DROPPED, DroppedHeaders
from pki.services.proving.handshakes import TURNED_AWAY, RefusedHandshake
from pki.services.proving.proxies import ProxyUnknown, named

_KEY = "hatchery.forwarding"


class Listener(Protocol):
    """What is asked of the listener that a request came in on (`portal.listeners` has them)."""

    @property
    def name(self) -> str: ...

    @property
    def proxied(self) -> bool:
        """Whether its clients are those that named proxies forward, and nobody else."""
        ...

    @property
    def mutual(self) -> bool:
        """Whether every connection shows a client certificate, which its handshake verifies."""
        ...


@dataclass
class Forwarding:
    """What a request says of a client that is not at the other end of its connection."""

    headers: dict[Form, str] = field(default_factory=dict)  # taken out of the request, and not believed
    reason: str = "not_asked"  # why they are not
    explanation: str = "no certificate is taken from a header here"
    proxy: Proxy | None = None  # who is believed
    certificate: str = ""  # in the proxy's form, not read yet; empty if there is none


def at_the_door(request: HttpRequest) -> None:
    """Where all clients are forwarded, let in nobody but the named proxies. Raises ProxyUnknown."""
    listener = listener_of(request)
    if listener is not None and listener.proxied:
        believe(request)


def take(environ: dict[str, Any]) -> None:
    """Take the headers of all forms out of a request, so that nothing after this reads one by accident."""
    found = {form: environ.pop(_variable(form), None) for form in Form}
    environ[_KEY] = Forwarding({form: value for form, value in found.items() if value is not None})


def believe(request: HttpRequest) -> None:
    """Take the word of the proxy that sent this request for its client. Raises ProxyUnknown.

    Each proxy is believed in its own form alone: one that sets its header may let another through, which
    then is its client's.
    """
    forwarding = of(request)
    if forwarding.proxy is not None:
        return
    try:
        forwarding.proxy = _sender(request, timezone.now())
    except ProxyUnknown as unknown:
        forwarding.reason, forwarding.explanation = unknown.code, unknown.why
        raise
    form = forwarding.proxy.form
    forwarding.certificate = forwarding.headers.pop(form, "")
    forwarding.reason, forwarding.explanation = "other_form", f"of this proxy {form.header} alone is read"


def believed(request: HttpRequest) -> dict[str, str]:
    """The header that was believed, by its name; empty if there is none."""
    forwarding = of(request)
    if forwarding.proxy is None or not forwarding.certificate:
        return {}
    return {forwarding.proxy.form.header: forwarding.certificate}


def count_dropped(request: HttpRequest) -> None:
    """Record the headers that were not believed, where a certificate is what counts."""
    forwarding, listener = of(request), listener_of(request)
    if not forwarding.headers or listener is None:
        return
    if listener.name == "secure" or forwarding.reason != "not_asked":
        names = tuple(form.header for form in forwarding.headers)
        DROPPED.note(
            DroppedHeaders(
                listener=listener.name,
                address=sender_address(request),
                reason=forwarding.reason,
                explanation=forwarding.explanation,
                headers=names,
            ),
            timezone.now(),
        )


def turned_away(
    request: HttpRequest, certificate: x509.Certificate | None, refusal: Refusal, now: datetime
) -> None:
    """Record that a proxy's client was refused; of our own handshakes the worker does."""
    listener = listener_of(request)
    if of(request).proxy is None or listener is None:
        return
    stranger = certificate is None or isinstance(refusal, chains.ChainRefused | status.UnknownCertificate)
    TURNED_AWAY.note(
        RefusedHandshake(
            listener=listener.name,
            address=client_address(request),
            reason=refusal.code,
            explanation=refusal.detail,
            ours=not stranger,
            fingerprint=pins.fingerprint_of(certificate) if certificate else "",
            subject=reading.name_of(certificate, "subject") if certificate else "",
            issuer=reading.name_of(certificate, "issuer") if certificate else "",
            serial=f"{certificate.serial_number:x}" if certificate else "",
            forwarded_by=sender_address(request) or "",
        ),
        now,
    )


def of(request: HttpRequest) -> Forwarding:
    """What was taken out of a request; nothing, where nobody took anything."""
    forwarding: Forwarding = request.META.setdefault(_KEY, Forwarding())
    return forwarding


def listener_of(request: HttpRequest) -> Listener | None:
    return getattr(request.META.get("gunicorn.socket"), "listener", None)


def sender_address(request: HttpRequest) -> str | None:
    """The IP address that the connection came from; None where there is none (a Unix socket)."""
    return request.META.get("REMOTE_ADDR") or None


def client_address(request: HttpRequest) -> str | None:
    """The client's IP address: that of the connection, or what a proxy that is believed says of it.

    None if such a proxy does not say.
    """
    if of(request).proxy is None:
        return sender_address(request)
    return proxies.client_address(request.META.get("HTTP_X_FORWARDED_FOR", ""))


def _sender(request: HttpRequest, now: datetime) -> Proxy:
    listener = listener_of(request)
    if listener is None:
        raise ProxyUnknown("there is no connection")
    own: x509.Certificate | None = request.META["gunicorn.socket"].peer_certificate
    return named(sender_address(request), own, listener.mutual, now)


def _variable(form: Form) -> str:
    """A header's name in WSGI (RFC 3875 4.1.18)."""
    return f"HTTP_{form.header.upper().replace('-', '_')}"
