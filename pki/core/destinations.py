"""Where Hatchery sends what an administrator gave an address for: what may be named, and what may be reached.

Whoever may name an address could else have Hatchery knock at doors that stand open to it alone: this
machine's, its neighbours', a cloud's metadata service (server-side request forgery).
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from pki.core.errors import Refusal
from pki.core.names import url_host
from pki.core.proxies import Address, Network

_LONGEST = 500  # characters
_LABEL = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NOT_READ = (
    "The host or its port cannot be read; write a DNS name, an address, or an IPv6 address in brackets."
)
_PORTS = {"http": 80, "https": 443}

# RFC 4291 2.4: all that is given out of IPv6 so far; the rest is special, or will be.
_GIVEN_OUT = ipaddress.IPv6Network("2000::/3")
# RFC 6052 2.1: an IPv4 address in its last 32 bits, as networks without IPv4 reach it.
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
# Those that the interpreter calls global, or did in some patch release. IANA's special-purpose registries.
_SPECIAL = tuple(
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24",  # protocol assignments
        "192.88.99.0/24",  # relays of 6to4 (RFC 7526)
        "2001::/23",  # protocol assignments; Teredo among them, which holds an IPv4 address
        "2002::/16",  # 6to4: holds an IPv4 address
        "3fff::/20",  # documentation
    )
)


class DestinationRefused(Refusal):
    """An address is not such as may be named, or leads where nothing may be sent."""

    code = "destination_refused"


@dataclass(frozen=True)
class Destination:
    """A URL of the schemes http and https, in its parts."""

    scheme: str
    host: str  # a name in lower case, or an address without brackets
    port: int
    target: str  # its path and its query, as in a request's first line

    @property
    def is_plain(self) -> bool:
        """Whether what is sent there can be read on the way."""
        return self.scheme == "http"

    @property
    def is_literal(self) -> bool:
        """Whether its host is an address, and no name."""
        return _literal(self.host) is not None

    @property
    def authority(self) -> str:
        """Host and port, as the header Host has them (RFC 9110 7.2)."""
        host = url_host(self.host)
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def parse(url: str) -> Destination:
    """A URL in its parts. Raises DestinationRefused.

    What two programs could read in two ways is refused, and so is a user or a password.
    """
    if not re.fullmatch(rf"[\x21-\x7e]{{1,{_LONGEST}}}", url) or "\\" in url:
        raise DestinationRefused(
            f"A URL has at most {_LONGEST} characters, of ASCII, without spaces and backslashes; "
            "write a name with others as xn--…, and percent-encode what follows it."
        )
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        raise DestinationRefused(_NOT_READ) from None
    if parts.scheme not in _PORTS:
        raise DestinationRefused("The URL must begin with https://.")
    if "@" in parts.netloc:
        raise DestinationRefused("The URL names a user or a password; leave it out, each POST is signed.")
    if parts.fragment:
        raise DestinationRefused("The URL has a part after #, which is never sent; leave it out.")
    if not (_HOST.fullmatch(host) or _literal(host)):
        raise DestinationRefused(_NOT_READ)
    port = _port(parts)
    target = parts.path or "/"
    return Destination(
        parts.scheme, host, port or _PORTS[parts.scheme], f"{target}?{parts.query}" if parts.query else target
    )


def _port(parts: SplitResult) -> int | None:
    """None if it is not written. Raises DestinationRefused."""
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        written = parts.netloc.rpartition("]")[2].partition(":")[2]
        if not re.fullmatch("[0-9]{1,10}", written):
            raise DestinationRefused(_NOT_READ)
        raise DestinationRefused(f"There is no port {written}; a port is a number from 1 to 65535.")
    return port


def networks(text: str) -> tuple[Network, ...]:
    """The networks of a text such as `10.0.0.0/8,fd00::/8`; an address is one of its own.

    Raises ValueError with the end of a sentence about the text, without its full stop.
    """
    named = []
    for entry in filter(None, (each.strip() for each in text.split(","))):
        try:
            named.append(ipaddress.ip_network(entry))
        except ValueError:
            raise ValueError(
                f"names {entry!r}, which is no IP address and no network such as 10.1.0.0/16"
            ) from None
    return tuple(named)


def may_be_reached(address: str, allowed: Sequence[Network]) -> bool:
    """Whether something may be sent to an address: a public one, or one of a network that is allowed.

    An IPv4 address in IPv6's clothes (RFC 4291 2.5.5.2, RFC 6052) is judged as itself.
    """
    parsed = _literal(address)
    if parsed is None:
        return False
    return is_allowed(address, allowed) or _is_public(_bare(parsed))


def is_allowed(address: str, allowed: Sequence[Network]) -> bool:
    """Whether an address is of a network that is allowed."""
    parsed = _literal(address)
    return parsed is not None and any(
        each in network for each in {parsed, _bare(parsed)} for network in allowed
    )


def _is_public(address: Address) -> bool:
    if not address.is_global or address.is_multicast or any(address in network for network in _SPECIAL):
        return False
    return address.version == 4 or address in _GIVEN_OUT


def _bare(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _TRANSLATED:
            return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _literal(text: str) -> Address | None:
    try:
        # A zone (RFC 4007 11) is of this machine, and no business of a URL.
        return None if "%" in text else ipaddress.ip_address(text)
    except ValueError:
        return None
