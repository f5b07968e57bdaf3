"""The listener that a request came in on: its socket knows, and no header is asked."""

from collections.abc import Mapping
from typing import Any, Protocol


class Listener(Protocol):
    """What is asked of a listener (`portal.listeners` has them)."""

    @property
    def name(self) -> str: ...

    @property
    def scheme(self) -> str: ...

    @property
    def urlconf(self) -> str: ...

    @property
    def proxied(self) -> bool:
        """Whether its clients are those that named proxies forward, and nobody else."""
        ...

    @property
    def mutual(self) -> bool:
        """Whether every connection shows a client certificate, which its handshake verifies."""
        ...


def handed_over(environ: Mapping[str, Any]) -> float:
    """When a request was whole and given to the threads, by time.perf_counter(); 0 for one from nowhere."""
    return getattr(environ.get("gunicorn.socket"), "handed_over", 0.0)


def listener_of(environ: Mapping[str, Any]) -> Listener | None:
    """The listener of a request's WSGI environment; None for a request from nowhere."""
    return getattr(environ.get("gunicorn.socket"), "listener", None)
