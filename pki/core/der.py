"""DER (X.690), as far as one must look into a file before a library may: never more than its own bytes."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

INTEGER = 0x02
OCTET_STRING = 0x04
OBJECT_IDENTIFIER = 0x06
SEQUENCE = 0x30
_CONSTRUCTED = 0x20
_DEEPEST = 40
# OWASP asks for 600,000 and Apple writes up to 10 million; more would keep a server busy.
MOST_ROUNDS = 10_000_000


@dataclass(frozen=True)
class Value:
    """A tag, and its content."""

    tag: int
    content: bytes
    end: int  # where it ends in what it was read from, bytes


def first(data: bytes, start: int = 0) -> Value | None:
    """The value that begins at `start`, or None; long tags and BER's indefinite lengths are not read."""
    if len(data) < start + 2 or data[start] & 0x1F == 0x1F:
        return None
    length, begin = data[start + 1], start + 2
    if length >= 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4 or len(data) < begin + count:
            return None
        length, begin = int.from_bytes(data[begin : begin + count], "big"), begin + count
    if len(data) < begin + length:
        return None
    return Value(data[start], data[begin : begin + length], begin + length)


def sequence(content: bytes) -> bytes:
    """A SEQUENCE of the values in `content`."""
    length = len(content)
    if length < 0x80:
        return bytes([SEQUENCE, length]) + content
    written = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([SEQUENCE, 0x80 | len(written)]) + written + content


def children(content: bytes) -> list[Value]:
    """The values that stand one after another in `content`, up to the first that is none."""
    found = []
    start = 0
    while (value := first(content, start)) is not None:
        found.append(value)
        start = value.end
    return found


def at(data: bytes, *path: int) -> Value | None:
    """The value that one comes to in `data` by taking the child of each number in turn; None without it."""
    value = None
    for number in path:
        siblings = children(data)
        if number >= len(siblings):
            return None
        value = siblings[number]
        data = value.content
    return value


def families(data: bytes, depth: int = 0) -> Iterator[list[Value]]:
    """Every list of siblings in `data`, also within octet strings that hold DER themselves."""
    siblings = children(data)
    if not siblings or depth > _DEEPEST:
        return
    yield siblings
    for value in siblings:
        nested = value.tag == OCTET_STRING and value.content[:1] == bytes([SEQUENCE])
        if value.tag & _CONSTRUCTED or nested:
            yield from families(value.content, depth + 1)


def most_rounds(data: bytes) -> int:
    """The largest count of rounds of a password's key derivation in `data`: PBKDF2, PKCS#12's own, scrypt.

    All of them are written as a salt (OCTET STRING), then a count (INTEGER).
    """
    return max((_rounds(siblings) for siblings in families(data)), default=0)


def _rounds(siblings: list[Value]) -> int:
    tags = [value.tag for value in siblings[:4]]
    numbers = [int.from_bytes(value.content[:16], "big") for value in siblings[1:4]]
    if tags == [OCTET_STRING, INTEGER, INTEGER, INTEGER]:
        # RFC 7914: cost, block size and parallelism; 16 makes it about as slow as as many rounds of PBKDF2.
        return numbers[0] * numbers[1] * numbers[2] * 16
    # In PKCS#12's MAC the digest stands before the salt.
    return max(
        (
            int.from_bytes(count.content[:16], "big")
            for salt, count in pairwise(siblings)
            if (salt.tag, count.tag) == (OCTET_STRING, INTEGER)
        ),
        default=0,
    )
