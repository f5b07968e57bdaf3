"""The five listeners, and that of the metrics, as data. A request's listener is known from the socket it came
in on.
"""

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
    own_host: str = ""  # the address it is bound to, if not that of all

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
        return f"{url_host(self.host)}:{self.port}"

    @property
    def host(self) -> str:
        return self.own_host or settings.PORTAL_BIND_HOST


METRICS = "metrics"
SMALL = 64 * 1024

# How the secure listener is reached, by PORTAL_SECURE_PROXY.
_SECURE_MODES = {
    "off": TlsMode.MUTUAL,
    "http": TlsMode.PLAIN,
    "tls": TlsMode.TLS,
    "mutual": TlsMode.MUTUAL,
}


def all_listeners() -> dict[str, Listener]:
    """The five listeners by name, whether they are served here or elsewhere, and that of this process's
    metrics, if it is to have one.
    """
    listeners = [
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
    ]
    if settings.PORTAL_PORT_METRICS is not None:
        listeners.append(_metrics(settings.PORTAL_PORT_METRICS))
    return {listener.name: listener for listener in listeners}


def _metrics(port: int) -> Listener:
    # Bound apart from the others: what opens those to the world does not open this one.
    host = settings.PORTAL_METRICS_HOST
    return Listener(METRICS, port, TlsMode.PLAIN, "portal.urls.metrics", SMALL, own_host=host)


def certified_listeners() -> list[str]:
    """The names of those that have certificates of their own."""
    return [listener.name for listener in all_listeners().values() if listener.mode is not TlsMode.PLAIN]


def served_listeners() -> list[Listener]:
    """Those that PORTAL_LISTENERS names, and that of the metrics."""
    listeners = all_listeners()
    own = [METRICS] if METRICS in listeners else []
    return [listeners[name] for name in dict.fromkeys([*settings.PORTAL_LISTENERS, *own])]
