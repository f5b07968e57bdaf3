"""Headers of the PROXY protocol: what a balancer says is read to the byte, and what is none is refused."""

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pki.core import proxy_protocol as protocol

PROXY, LOCAL = 0x21, 0x20
TCP4, TCP6, UDP4, UNIX, UNSPECIFIED = 0x11, 0x21, 0x12, 0x31, 0x00
CLIENT_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


def header(source, port=49152, *, command=PROXY, family=None, more=b"", length=None):
    """Version 2, as section 2.2 of the specification draws it."""
    address = ipaddress.ip_address(source)
    family = family if family is not None else {4: TCP4, 6: TCP6}[address.version]
    body = address.packed + address.packed + struct.pack("!HH", port, 8443) + more
    length = len(body) if length is None else length
    return b"\r\n\r\n\x00\r\nQUIT\n" + struct.pack("!BBH", command, family, length) + body


def read(data, *, at_once=None):
    """What a header says, received as a socket would: never more than was asked for; and what is left."""
    received, left = b"", data
    while missing := protocol.missing(received):
        size = min(missing, at_once or missing)
        if not left:
            raise EOFError
        received, left = received + left[:size], left[size:]
    return protocol.client(received), left


V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 49152 8443\r\n"
GOOD = {
    "version 2, IPv4": (header("192.0.2.7"), ("192.0.2.7", 49152)),
    "version 2, IPv6": (header("2001:db8::7"), ("2001:db8::7", 49152)),
    "IPv4 in IPv6 is IPv4": (header("::ffff:192.0.2.7"), ("192.0.2.7", 49152)),
    "with what clouds add": (header("192.0.2.7", more=b"\xea\x00\x04abcd" * 50), ("192.0.2.7", 49152)),
    "a check of the balancer": (header("192.0.2.7", command=LOCAL), None),
    "a check without addresses": (b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00", None),
    "of nobody in particular": (header("192.0.2.7", family=UNSPECIFIED), None),
    "version 1, IPv4": (V1, ("192.0.2.7", 49152)),
    "version 1, IPv6": (b"PROXY TCP6 2001:db8::7 2001:db8::1 49152 8443\r\n", ("2001:db8::7", 49152)),
    "version 1, unknown": (b"PROXY UNKNOWN\r\n", None),
    "version 1, unknown, with what is to be ignored": (b"PROXY UNKNOWN ffff:f...f a b\r\n", None),
}


@pytest.mark.parametrize("at_once", [None, 1, 7])
@pytest.mark.parametrize(("data", "client"), GOOD.values(), ids=GOOD)
def test_a_header_says_whom_a_connection_is_from_and_the_rest_is_the_clients(data, client, at_once):
    expected = client and (ipaddress.ip_address(client[0]), client[1])
    assert read(data + CLIENT_HELLO, at_once=at_once) == (expected, CLIENT_HELLO)


BAD = {
    "a TLS client": CLIENT_HELLO * 2,
    "an HTTP client": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a POST, which begins as PROXY does": b"POST /sign-csr HTTP/1.1\r\n\r\n",
    "version 3": header("192.0.2.7", command=0x31),
    "version 2 with another command": header("192.0.2.7", command=0x22),
    "no TCP": header("192.0.2.7", family=UDP4),
    "a file's name for an address": header("192.0.2.7", family=UNIX, more=bytes(204)),
    "an unknown family": header("192.0.2.7", family=0x41),
    "too short for its addresses": header("192.0.2.7", length=11),
    "IPv4 called IPv6": header("192.0.2.7", family=TCP6),
    "longer than is read": header("192.0.2.7", more=bytes(protocol.LARGEST)),
    "the longest there can be": header("192.0.2.7", length=0xFFFF),
    "a signature with one byte wrong": b"\r\n\r\n\x00\r\nQUIT\r" + header("192.0.2.7")[12:],
    "a line that does not end": b"PROXY TCP4 " + b"1" * 200,
    "a line that ends too late": b"PROXY UNKNOWN " + b"f" * 93 + b"\r\n",
    "a line of LF alone": V1.replace(b"\r\n", b"\n") + bytes(100),
    "a name for an address": b"PROXY TCP4 localhost 198.51.100.1 1 2\r\n",
    "an octet too large": b"PROXY TCP4 192.0.2.256 198.51.100.1 1 2\r\n",
    "a port too large": b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 8443\r\n",
    "a negative port": b"PROXY TCP4 192.0.2.7 198.51.100.1 -1 8443\r\n",
    "IPv6 called IPv4": b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n",
    "two families": b"PROXY TCP6 192.0.2.7 2001:db8::1 1 2\r\n",
    "a word more": b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3\r\n",
    "two spaces": b"PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n",
    "a zone": b"PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n",
    "small letters": b"proxy TCP4 192.0.2.7 198.51.100.1 1 2\r\n",
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_is_no_header_is_refused(data):
    with pytest.raises(protocol.HeaderRefused) as refused:
        read(data)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("data", [found for found, _ in GOOD.values()], ids=GOOD)
def test_a_header_that_is_cut_off_is_waited_for(data):
    for end in range(len(data)):
        with pytest.raises(EOFError):
            read(data[:end])


@given(
    st.one_of(st.binary(max_size=300), st.binary(max_size=80).map(lambda end: header("192.0.2.7")[:16] + end))
)
def test_whatever_comes_is_a_header_or_refused_or_waited_for(data):
    try:
        client, left = read(data)
    except (protocol.HeaderRefused, EOFError):
        return
    assert data.endswith(left)
    assert client is None or client[1] <= 65535


@given(st.ip_addresses(), st.integers(0, 65535), st.binary(max_size=64))
def test_every_address_is_read_as_it_was_written(address, port, more):
    client, _ = read(header(address, port, more=more))
    mapped = getattr(address, "ipv4_mapped", None)
    assert client == (mapped or address, port)
