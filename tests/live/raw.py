"""Bytes to a listener as they are, and all that comes back."""

import re
import socket
import ssl
import time
from dataclasses import dataclass

from tests.live.devices import TIMEOUT
from tests.server import Server

_LATE = 0.3  # seconds
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3}) ")  # anywhere: a body need not end its line


@dataclass
class Received:
    """What came until the server hung up, or said nothing for a while."""

    data: bytes
    ended: bool

    @property
    def statuses(self) -> list[int]:
        return [int(status) for status in _STATUS.findall(self.data)]


def exchange(
    server: Server,
    listener: str,
    data: bytes,
    context: ssl.SSLContext | None,
    *,
    late: bytes = b"",
    address: str = "127.0.0.1",
) -> Received:
    """Send bytes over a connection of their own, from an address of this machine, and read to its end.

    What is `late` is sent when the server has had time to answer the rest.
    """
    there = ("127.0.0.1", server.ports[listener])
    connection = socket.create_connection(there, TIMEOUT, source_address=(address, 0))
    if context is not None:
        connection = context.wrap_socket(connection, server_hostname="localhost")
    received = b""
    try:
        connection.sendall(data)
        if late:
            time.sleep(_LATE)
            connection.sendall(late)
        while chunk := connection.recv(65536):
            received += chunk
        return Received(received, ended=True)
    except TimeoutError:
        return Received(received, ended=False)
    except (ConnectionError, ssl.SSLError):
        return Received(received, ended=True)
    finally:
        connection.close()
