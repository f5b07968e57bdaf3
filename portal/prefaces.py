"""What a load balancer says before a client's first byte: whom the connection is from.

Only balancers that PORTAL_BALANCERS names are heard, and these must say it: whether a header comes is never
guessed, so that no client can write one for itself.
"""

import socket
from collections.abc import Sequence

from pki.core import proxies, proxy_protocol
from pki.core.proxies import Address, Network
from portal.handshakes import HandshakeFailed


def is_balancer(address: str, named: Sequence[Network]) -> bool:
    """Whether a connection from this address begins with a header of the PROXY protocol."""
    if not named:
        return False
    parsed = proxies.read_address(address)
    return parsed is not None and any(parsed in network for network in named)


class Preface:
    """A header of the PROXY protocol, as it comes in."""

    def __init__(self) -> None:
        self._received = bytearray()

    def receive(self, raw: socket.socket) -> bool:
        """Receive what has come of it, and nothing that is the client's; whether it is whole.

        Raises HandshakeFailed for what is no such header.
        """
        try:
            while missing := proxy_protocol.missing(bytes(self._received)):
                data = raw.recv(missing)
                if not data:
                    raise HandshakeFailed("aborted", "the load balancer went away before it said for whom")
                self._received += data
        except BlockingIOError:
            return False
        except OSError:
            raise HandshakeFailed("aborted", "the load balancer went away before it said for whom") from None
        except proxy_protocol.HeaderRefused as refused:
            raise _failed(refused) from None
        return True

    def client(self) -> tuple[Address, int] | None:
        """Whom the connection is from: address and port, None if it is the balancer's own.

        Raises HandshakeFailed.
        """
        try:
            return proxy_protocol.client(bytes(self._received))
        except proxy_protocol.HeaderRefused as refused:
            raise _failed(refused) from None


def _failed(refused: proxy_protocol.HeaderRefused) -> HandshakeFailed:
    return HandshakeFailed("proxy_protocol", f"what the load balancer sent {refused}")
