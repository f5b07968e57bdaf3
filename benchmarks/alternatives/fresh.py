"""Requests of which each has a CSR of its own, for a new P-256 key."""

from collections.abc import Callable

from benchmarks.compare.served import Request
from tests.clients import make_csr


def requests(number: int, body: Callable[[str, bytes], bytes]) -> tuple[Request, ...]:
    """So many, their bodies made of a device's name and its PEM CSR."""
    names = (f"bench-{count}" for count in range(number))
    return tuple(Request(body=body(name, make_csr(name))) for name in names)
