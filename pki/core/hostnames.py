"""Whether a server's certificate is for a host (RFC 9525)."""

import ipaddress
from collections.abc import Sequence

from cryptography import x509

from pki.core import extensions, reading
from pki.core.findings import Finding, Severity


def matched(certificate: x509.Certificate, sans: Sequence[x509.GeneralName], host: str, part: int) -> Finding:
    """The finding that `host`, a name or an address, is among the SANs or not."""
    if any(matches(san, host) for san in sans):
        return Finding("hostname_matches", Severity.GOOD, f"It is for {host}.", part=part)
    known = ", ".join(extensions.general_name(san) for san in sans[:10]) or "none at all"
    only_cn = (
        f" Its CN is {host}, which clients of today do not look at."
        if ("CN", host) in reading.attributes(certificate, "subject")
        else ""
    )
    return Finding(
        "hostname_mismatch",
        Severity.REFUSED,
        f"It is not for {host}: its SANs are {known}.{only_cn}",
        "Issue it with that name or address among its SANs, or connect by one of those that it has.",
        part,
    )


def matches(san: x509.GeneralName, host: str) -> bool:
    """Whether a SAN stands for a host: addresses by value, names in any case, `*` for one whole label."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return isinstance(san, x509.DNSName) and _names_match(san.value.lower(), host.lower().rstrip("."))
    return isinstance(san, x509.IPAddress) and san.value == address


def _names_match(pattern: str, host: str) -> bool:
    if not pattern.startswith("*."):
        return pattern == host
    # RFC 9525 6.3: the wildcard is the whole leftmost label, and stands for exactly one.
    label, dot, rest = host.partition(".")
    return bool(label and dot) and pattern[2:] == rest
