"""The PROXY protocol, by which a load balancer that passes TCP on says whom each connection is from.

A header before the first byte of the client's own (doc/proxy-protocol.txt of haproxy.org, 2.1 and 2.2).
"""

import ipaddress
import re

from pki.core.proxies import Address, read_address

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
BEGINNING = len(SIGNATURE) + 4  # bytes of version 2 that say how many follow
# Bytes that follow: two IPv6 addresses with ports are 36; balancers add names, and identifiers of clouds.
LARGEST = 2048
LONGEST_LINE = 107  # bytes of version 1, with its CRLF

_LOCAL, _PROXY = 0x20, 0x21  # version 2, and the command
_UNSPECIFIED, _TCP4, _TCP6 = 0x00, 0x11, 0x21
_LENGTHS = {_TCP4: 4, _TCP6: 16}  # bytes of an address
_LINE = re.compile(rb"PROXY (TCP4|TCP6) ([0-9a-fA-F.:]{2,39}) ([0-9a-fA-F.:]{2,39}) (\d{1,5}) (\d{1,5})\r\n")


class HeaderRefused(ValueError):
    """What came is not a header of this protocol; the message is the end of a sentence about it."""


def missing(received: bytes) -> int:
    """How many more bytes surely belong to the header, 0 once it is whole. Raises HeaderRefused.

    Never more than there are: what follows is the client's.
    """
    if received.startswith(b"PROXY "[: len(received)]) and received:
        return _missing_of_line(received)
    if not SIGNATURE.startswith(received[: len(SIGNATURE)]):
        raise HeaderRefused("does not begin as the PROXY protocol does")
    if len(received) < BEGINNING:
        # A line of version 1 has 15 bytes at least, and a header of version 2 has 16.
        return BEGINNING - len(received) if received else len(b"PROXY ")
    length = int.from_bytes(received[len(SIGNATURE) + 2 : BEGINNING], "big")
    if length > LARGEST:
        raise HeaderRefused(f"says that it has {length} bytes, of which {LARGEST} are read at most")
    return BEGINNING + length - len(received)


def client(header: bytes) -> tuple[Address, int] | None:
    """The client's address and port, of a whole header.

    None where it speaks of no client: the balancer itself connects, to see whether we are there. Raises
    HeaderRefused.
    """
    return _of_line(header) if header.startswith(b"PROXY ") else _of_version_2(header)


def _missing_of_line(received: bytes) -> int:
    if received.endswith(b"\r\n"):
        return 0
    if len(received) >= LONGEST_LINE:
        raise HeaderRefused(f"is a line of more than {LONGEST_LINE} bytes")
    # How long the line is shows at its end: the shortest is "PROXY UNKNOWN\r\n".
    return max(1, len(b"PROXY UNKNOWN\r\n") - len(received))


def _of_line(header: bytes) -> tuple[Address, int] | None:
    if header.startswith(b"PROXY UNKNOWN"):
        return None
    found = _LINE.fullmatch(header)
    addresses = [read_address(text.decode()) for text in found.group(2, 3)] if found else []
    ports = [int(text) for text in found.group(4, 5)] if found else []
    if found is None or None in addresses or max(ports) > 65535:
        raise HeaderRefused("is no line of version 1")
    family = ipaddress.ip_address(found[2].decode()).version
    if family != int(found[1][-1:]) or addresses[0] is None:
        raise HeaderRefused("names an address of another family than it says")
    return addresses[0], ports[0]


def _of_version_2(header: bytes) -> tuple[Address, int] | None:
    command, family = header[len(SIGNATURE)], header[len(SIGNATURE) + 1]
    if command == _LOCAL or (command == _PROXY and family == _UNSPECIFIED):
        return None
    if command != _PROXY:
        raise HeaderRefused("is neither of version 1 nor of version 2")
    size = _LENGTHS.get(family)
    if size is None:
        raise HeaderRefused("speaks of a client that did not come by TCP")
    if len(header) < BEGINNING + 2 * size + 4:
        raise HeaderRefused("is too short for the addresses that it announces")
    address = read_address(str(ipaddress.ip_address(header[BEGINNING : BEGINNING + size])))
    if address is None:  # for the type alone: every 4 or 16 bytes are an address
        raise HeaderRefused("names no address")
    port = BEGINNING + 2 * size
    return address, int.from_bytes(header[port : port + 2], "big")
