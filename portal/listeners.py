"""The five listeners as data. A request's listener is known from the socket it came in on."""

from dataclasses import dataclass
from enum import Enum

from django.conf import settings

from pki.core.names import url_host


class TlsMode(Enum):
    PLAIN = "plain"
    TLS = "TLS"
    OPTIONAL = "TLS, a client certificate if there is one"
    MUTUAL = "mutual TLS"


@dataclass(frozen=True)
class Listener:
    """One port and what is served there."""

    name: str
    port: int
    mode: TlsMode
    urlconf: str
    largest_body: int  # bytes; a larger request body is refused before it is read
    proxied: bool = False  # whether its clients are those that named proxies forward, and nobody else

    @property
    def scheme(self) -> str:
        return "http" if self.mode is TlsMode.PLAIN else "https"

    @property
    def mutual(self) -> bool:
        return self.mode is TlsMode.MUTUAL

    @property
    def asks_for_certificates(self) -> bool:
        """Whether its clients are asked for theirs in the handshake."""
        return self.mode in (TlsMode.MUTUAL, TlsMode.OPTIONAL)

    @property
    def url(self) -> str:
        """Where it is reached under the first of PORTAL_HOSTNAMES, without a trailing slash."""
        return f"{self.scheme}://{url_host(settings.PORTAL_HOSTNAMES[0])}:{self.port}"

    @property
    def bind(self) -> str:
        return f"{url_host(settings.PORTAL_BIND_HOST)}:{self.port}"


SMALL = 64 * 1024

# How the secure listener is reached, by PORTAL_SECURE_PROXY.
_SECURE_MODES = {
    "off": TlsMode.MUTUAL,
    "http": TlsMode.PLAIN,
    "tls": TlsMode.TLS,
    "mutual": TlsMode.MUTUAL,
}


def all_listeners() -> dict[str, Listener]:
    """The five listeners by name, whether they are served here or elsewhere."""
    listeners = (
        Listener("hello", settings.PORTAL_PORT_HELLO, TlsMode.TLS, "portal.urls.hello", SMALL),
        Listener(
            "secure",
            settings.PORTAL_PORT_SECURE,
            _SECURE_MODES[settings.PORTAL_SECURE_PROXY],
            "portal.urls.secure",
            SMALL,
            proxied=settings.PORTAL_SECURE_PROXY != "off",
        ),
        Listener(
            "provisioning", settings.PORTAL_PORT_PROVISIONING, TlsMode.TLS, "portal.urls.provisioning", SMALL
        ),
        Listener(
            "console",
            settings.PORTAL_PORT_CONSOLE,
            TlsMode.OPTIONAL if settings.PORTAL_CONSOLE_CLIENT_CERTIFICATES else TlsMode.TLS,
            "portal.urls.console",
            settings.DATA_UPLOAD_MAX_MEMORY_SIZE,
        ),
        Listener("status", settings.PORTAL_PORT_STATUS, TlsMode.PLAIN, "portal.urls.status", SMALL),
    )
    return {listener.name: listener for listener in listeners}


def certified_listeners() -> list[str]:
    """The names of those that have certificates of their own."""
    return [listener.name for listener in all_listeners().values() if listener.mode is not TlsMode.PLAIN]


def served_listeners() -> list[Listener]:
    """Those that PORTAL_LISTENERS names."""
    listeners = all_listeners()
    return [listeners[name] for name in settings.PORTAL_LISTENERS]
