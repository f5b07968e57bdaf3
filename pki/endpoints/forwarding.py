"""Headers in which proxies forward certificates: taken out of every request, and believed of named proxies.

The certificates themselves are read in `pki.endpoints.peer`; what was not believed, `pki.endpoints.recording`
puts on record.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography import x509
from django.http import HttpRequest
from django.utils import timezone

from pki.core import proxies
from pki.core.forwarded import Form
from pki.core.proxies import Proxy
from pki.endpoints.listeners import listener_of
from pki.services.proving.proxies import ProxyUnknown, named

_KEY = "hatchery.forwarding"
# The headers' names in WSGI (RFC 3875 4.1.18).
_VARIABLES = {f"HTTP_{form.header.upper().replace('-', '_')}": form for form in Form}


@dataclass
class Forwarding:
    """What a request says of a client that is not at the other end of its connection."""

    headers: dict[Form, str] = field(default_factory=dict)  # taken out of the request, and not believed
    proxy: Proxy | None = None  # who is believed
    unknown: ProxyUnknown | None = None  # why nobody is, where somebody should be
    certificate: str = ""  # in the proxy's form, not read yet; empty if there is none

    @property
    def why_dropped(self) -> tuple[str, str]:
        """Why the headers were dropped: a stable reason, and a sentence's end."""
        if self.unknown is not None:
            return self.unknown.code, self.unknown.why
        if self.proxy is not None:
            return "other_form", f"of this proxy {self.proxy.form.header} alone is read"
        return "not_asked", "no certificate is taken from a header here"


def at_the_door(request: HttpRequest) -> None:
    """Where all clients are forwarded, let in nobody but the named proxies. Raises ProxyUnknown."""
    listener = listener_of(request.META)
    if listener is not None and listener.proxied:
        believe(request)


def take(environ: dict[str, Any]) -> None:
    """Take the headers of all forms out of a request, so that nothing after this reads one by accident."""
    found = {form: environ.pop(name) for name, form in _VARIABLES.items() if name in environ}
    environ[_KEY] = Forwarding(found)


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
        forwarding.unknown = unknown
        raise
    forwarding.certificate = forwarding.headers.pop(forwarding.proxy.form, "")


def believed(request: HttpRequest) -> dict[str, str]:
    """The header that was believed, by its name; empty if there is none."""
    forwarding = of(request)
    if forwarding.proxy is None or not forwarding.certificate:
        return {}
    return {forwarding.proxy.form.header: forwarding.certificate}


def of(request: HttpRequest) -> Forwarding:
    """What was taken out of a request; nothing, where nobody took anything."""
    forwarding: Forwarding | None = request.META.get(_KEY)
    if forwarding is None:
        forwarding = request.META[_KEY] = Forwarding()
    return forwarding


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
    listener = listener_of(request.META)
    if listener is None:
        raise ProxyUnknown("no_connection", "there is no connection")
    own: x509.Certificate | None = request.META["gunicorn.socket"].peer_certificate
    return named(sender_address(request), own, listener.mutual, now)
