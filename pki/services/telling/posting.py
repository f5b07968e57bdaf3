"""One POST to an address that an administrator gave: to nowhere else, within a time, and no answer kept.

Proxies of the environment and redirects are not followed. What was judged is connected to: an address.
"""

import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from pki.core import destinations
from pki.core.destinations import Destination, DestinationRefused
from pki.core.errors import Refusal
from pki.core.proxies import Network
from pki.services.reaching import NameUnknown, connected, left, resolved

SECONDS = 10.0  # from the question to the resolver to the end of the answer
LARGEST_ANSWER = 64 * 1024  # bytes; what comes after them is not read


class NotPosted(Refusal):
    """It could not be sent, or nothing came back that was an answer."""

    code = "not_posted"


@dataclass(frozen=True)
class Reach:
    """Where may be posted to, beside the public internet, and whom TLS trusts, beside the system's roots."""

    networks: Sequence[Network] = ()
    ca_file: str = ""  # PEM


def post(destination: Destination, headers: Mapping[str, str], body: bytes, reach: Reach) -> int:
    """The status of the answer to a POST. Raises NotPosted or DestinationRefused."""
    deadline = time.monotonic() + SECONDS
    try:
        with closing(_connected(destination, reach, deadline)) as connection:
            return _asked(connection, destination, headers, body)
    except TimeoutError:
        raise NotPosted(f"There was no answer within {SECONDS:.0f} seconds.") from None
    except ssl.SSLCertVerificationError as error:
        raise NotPosted(f"Its certificate does not stand: {error.verify_message}.") from None
    except ssl.SSLError as error:
        raise NotPosted(f"TLS failed: {error.reason or type(error).__name__}.") from None
    except http.client.HTTPException as error:
        # Without its words: they may be the answer's.
        raise NotPosted(f"The answer is not HTTP ({type(error).__name__}).") from None
    except OSError as error:
        raise NotPosted(f"It cannot be reached: {error.strerror or type(error).__name__}.") from None


def _asked(
    connection: "_UntilDeadline", destination: Destination, headers: Mapping[str, str], body: bytes
) -> int:
    client = http.client.HTTPConnection(destination.host, destination.port)
    # It is connected already, and to what was judged.
    client.sock = connection
    fixed = {"Host": destination.authority, "User-Agent": "Hatchery", "Connection": "close"}
    client.request("POST", destination.target, body, {**fixed, **headers})
    answer = client.getresponse()
    try:
        # For those who take an answer that nobody reads for a failure of their own.
        answer.read(LARGEST_ANSWER)
    except (OSError, http.client.HTTPException):
        pass  # the status was said, and that is what counts
    return answer.status


def _connected(destination: Destination, reach: Reach, deadline: float) -> "_UntilDeadline":
    """A connection to the destination: TLS, but for http://. Raises as `post`, or OSError."""
    context = None if destination.is_plain else _context(reach.ca_file)
    addresses = _judged(destination, reach, deadline)
    raw, _ = connected(addresses, destination.port, deadline)
    raw.settimeout(left(deadline))
    tls = context.wrap_socket(raw, server_hostname=destination.host) if context else raw
    return _UntilDeadline(tls, deadline)


def _judged(destination: Destination, reach: Reach, deadline: float) -> list[str]:
    """The addresses of a destination. Raises DestinationRefused if one of them may not be reached."""
    try:
        addresses = resolved(destination.host, destination.port, deadline)
    except NameUnknown as unknown:
        raise NotPosted(str(unknown)) from None
    for address in addresses:
        if not destinations.may_be_reached(address, reach.networks):
            raise DestinationRefused(
                f"{destination.host} leads to {address}, which is not a public address; "
                "PORTAL_WEBHOOK_NETWORKS names the networks that may be reached besides."
            )
        if destination.is_plain and not destinations.is_allowed(address, reach.networks):
            raise DestinationRefused(
                f"http:// may lead to networks of PORTAL_WEBHOOK_NETWORKS alone, and {destination.host} "
                f"leads to {address}; use https://."
            )
    return addresses


def _context(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file:
        try:
            context.load_verify_locations(cafile=ca_file)
        except OSError as error:
            raise NotPosted(f"PORTAL_WEBHOOK_CA_FILE cannot be read ({error.strerror or error}).") from None
    return context


class _UntilDeadline:
    """A socket for http.client, whose every wait ends at one deadline: a byte now and then gains no time."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            self._sock.settimeout(left(self._deadline))
            view = view[self._sock.send(view) :]

    def recv_into(self, buffer: Any) -> int:
        self._sock.settimeout(left(self._deadline))
        return self._sock.recv_into(buffer)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        self._sock.close()


class _Reader(io.RawIOBase):
    def __init__(self, connection: _UntilDeadline) -> None:
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._connection.recv_into(buffer)
