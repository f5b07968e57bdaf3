"""Who counts as one visitor, by the address that a request came from."""

import ipaddress

SITE = 48  # bits; RFC 6177: what a site is given is a /48 at most, as a rule


def site(address: str | None) -> str:
    """The IPv6 network that one site may have to itself, or "" if the address is not of IPv6."""
    parsed = ipaddress.ip_address(address) if address else None
    if not isinstance(parsed, ipaddress.IPv6Address) or parsed.ipv4_mapped is not None:
        return ""
    return str(ipaddress.ip_network((parsed, SITE), strict=False))


def network(address: str | None) -> str:
    """What counts as one visitor: an IPv4 address, or the /64 that one IPv6 host has to itself."""
    if not address:
        return ""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
