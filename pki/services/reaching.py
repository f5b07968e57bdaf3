"""Coming to a host and port that somebody named, within a time.

A name is resolved once, so that who asks can judge its addresses, and connect to what was judged: a name that
then leads to another one (DNS rebinding) gains nothing.
"""

import queue
import socket
import threading
import time
from collections.abc import Sequence


class NameUnknown(OSError):
    """A name has no address."""


def resolved(host: str, port: int, deadline: float) -> list[str]:
    """The addresses of a host, in the order in which they are to be tried. Raises NameUnknown, TimeoutError.

    `deadline` is a moment of `time.monotonic()`.
    """
    found: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            rows = lookup(host, port, type=socket.SOCK_STREAM)
            found.put(list(dict.fromkeys(str(row[4][0]) for row in rows)))
        except (OSError, UnicodeError) as error:
            found.put(error if isinstance(error, OSError) else OSError(str(error)))

    # A resolver's patience has no setting: a thread of its own can be left behind.
    threading.Thread(target=look_up, name="host-lookup", daemon=True).start()
    try:
        answer = found.get(timeout=left(deadline))
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(answer, OSError):
        raise NameUnknown(f"The name {host} cannot be resolved.") from None
    if not answer:
        raise NameUnknown(f"The name {host} has no address.")
    return answer


# Named, so that a test can be the name service.
lookup = socket.getaddrinfo


def connected(addresses: Sequence[str], port: int, deadline: float) -> tuple[socket.socket, str]:
    """A connection to the first of these addresses that takes one, and which it is. Raises OSError."""
    for tried, address in enumerate(addresses):
        try:
            # Its share of the time: one that swallows everything leaves some for the next.
            return _connected(address, port, left(deadline) / (len(addresses) - tried)), address
        except OSError:
            if tried == len(addresses) - 1:
                raise
    raise NameUnknown("There is no address to connect to.")


def _connected(address: str, port: int, seconds: float) -> socket.socket:
    raw = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        raw.settimeout(seconds)
        raw.connect((address, port))
    except OSError:
        raw.close()
        raise
    return raw


def left(deadline: float) -> float:
    """The seconds until a moment of `time.monotonic()`. Raises TimeoutError if there are none."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds
