"""A server that somebody asks about, as people write it: `host:port`, or the URL that they tried."""

import re
from dataclasses import dataclass

from pki.core import destinations
from pki.core.errors import Refusal
from pki.core.names import url_host

_HTTPS = "https://"
# One word, of a scheme or a port: neither PEM nor base64 is such.
_NAMED = re.compile(r"\s*(?:[a-z]{2,10}://\S{1,500}|\S{1,260}:[0-9]{1,5})\s*", re.IGNORECASE)

_HOST_AND_PORT = re.compile(r"[^/?#]+:[0-9]+")


class TargetRefused(Refusal):
    """A text names no server."""

    code = "target_refused"


@dataclass(frozen=True)
class Target:
    """Where a server is."""

    host: str  # a name in lower case, or an address without brackets
    port: int
    is_literal: bool  # whether the host is an address, and no name

    def __str__(self) -> str:
        return f"{url_host(self.host)}:{self.port}"


def is_named(text: str) -> bool:
    """Whether a text is meant to name a server, well or not."""
    return _NAMED.fullmatch(text) is not None


def parse(text: str) -> Target:
    """`door.example:8443`, `[fd00::5]:8443` or `https://door.example/a/path`. Raises TargetRefused."""
    text = text.strip()
    is_url = text.lower().startswith(_HTTPS)
    if not is_url and not _HOST_AND_PORT.fullmatch(text):
        raise TargetRefused("Name a server as host:port, such as door.example:8443 or [fd00::5]:8443.")
    try:
        found = destinations.parse(text if is_url else f"{_HTTPS}{text}")
    except destinations.DestinationRefused as refusal:
        raise TargetRefused(refusal.detail) from refusal
    return Target(found.host, found.port, found.is_literal)


def host(text: str) -> str:
    """A name in lower case, or an address without brackets. Raises TargetRefused."""
    return parse(f"{url_host(text.strip().strip('[]'))}:443").host
