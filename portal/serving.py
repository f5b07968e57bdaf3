"""What this process serves: the listeners by port, each with its TLS context."""

from django.utils import timezone
from OpenSSL import SSL

from pki.services.issuing import listener_certificates
from portal.listeners import Listener, TlsMode, served_listeners
from portal.tls import ListenerNotReady, make_context

_by_port: dict[int, tuple[Listener, SSL.Context | None]] = {}


def prepare() -> None:
    """Make the TLS contexts, once, before the fork. Raises ListenerNotReady or KeystoreError."""
    for listener in served_listeners():
        context = None
        if listener.mode is not TlsMode.PLAIN:
            certificate = listener_certificates.current(listener.name, timezone.now())
            if certificate is None:
                raise ListenerNotReady(
                    f"The listener {listener.name} has no certificate that stands; "
                    "run: python manage.py bootstrap"
                )
            context = make_context(listener, certificate)
        _by_port[listener.port] = (listener, context)


def at_port(port: int) -> tuple[Listener, SSL.Context | None]:
    """The listener of a port; its context is None where it is plain."""
    return _by_port[port]
