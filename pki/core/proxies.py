"""Proxies that are named: by their networks, each with the form in which it forwards certificates."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from pki.core.forwarded import Form

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


# A larger network than a private one (RFC 1918), or than what one organisation is given of IPv6, is a slip.
_SHORTEST_PREFIX = {4: 8, 6: 32}  # by IP version


@dataclass(frozen=True)
class Proxy:
    """One entry of PORTAL_PROXIES: `nginx@10.0.0.5`."""

    form: Form
    network: Network

    def __str__(self) -> str:
        alone = self.network.num_addresses == 1
        return f"{self.form}@{self.network.network_address if alone else self.network}"


def parse(text: str) -> tuple[Proxy, ...]:
    """The proxies of a text such as `nginx@10.0.0.5,traefik@10.1.0.0/24`.

    Raises ValueError with the end of a sentence about the text, without its full stop.
    """
    named = tuple(_parse_one(entry.strip()) for entry in text.split(",")) if text.strip() else ()
    for index, proxy in enumerate(named):
        for other in named[:index]:
            if proxy.form != other.form and overlap(proxy.network, other.network):
                raise ValueError(f"gives one address two forms: {other} and {proxy}")
    return named


def balancers(text: str) -> tuple[Network, ...]:
    """The load balancers of a text such as `10.0.0.7,fd00:1::/64`.

    Raises ValueError as `parse` does.
    """
    return tuple(_network(entry.strip()) for entry in text.split(",")) if text.strip() else ()


def find(named: Sequence[Proxy], address: str | None) -> Proxy | None:
    """The proxy that a connection from this address is from."""
    parsed = read_address(address or "")
    return next((proxy for proxy in named if parsed is not None and parsed in proxy.network), None)


def client_address(forwarded_for: str) -> str | None:
    """The client's address in X-Forwarded-For: its last entry, which the proxy itself added.

    Everything before it is what the client says. None if it is no address.
    """
    parsed = read_address(forwarded_for.rpartition(",")[2].strip())
    return str(parsed) if parsed is not None else None


def read_address(text: str) -> Address | None:
    """An address, without the zone of a link-local one (RFC 4007 11), and IPv4 as such if IPv6 wraps it."""
    try:
        parsed = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed


def _parse_one(entry: str) -> Proxy:
    form, at, network = entry.partition("@")
    if not at or form not in set(Form):
        raise ValueError(
            f"must name each proxy as form@address, with a form of {', '.join(Form)}, not as {entry!r}"
        )
    return Proxy(Form(form), _network(network))


def _network(text: str) -> Network:
    if "%" in text:
        raise ValueError(f"names {text} with a zone: leave it out, and what begins with %")
    try:
        parsed = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            f"names {text!r}, which is no IP address and no network such as 10.1.0.0/24"
        ) from None
    shortest = _SHORTEST_PREFIX[parsed.version]
    if parsed.prefixlen < shortest:
        raise ValueError(f"names {text}, which is nearly everybody: the largest network has /{shortest}")
    address = text.partition("/")[0]
    if parsed.network_address != ipaddress.ip_address(address):
        raise ValueError(
            f"names {text}, an address within a network: write {parsed}, or {address} for that address alone"
        )
    if isinstance(parsed, ipaddress.IPv6Network) and parsed.network_address.ipv4_mapped is not None:
        raise ValueError(f"names {text}, an IPv4 address in IPv6: write the IPv4 address alone")
    return parsed


def overlap(one: Network, other: Network) -> bool:
    return one.version == other.version and one.overlaps(other)
