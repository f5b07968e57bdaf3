"""The audit trail as messages of syslog (RFC 5424): one node sends each once it is sealed.

A receiver does not confirm what it gets. By TCP a piece counts as sent when the receiver has closed the
connection in order after it; by UDP and a local socket when the system took it. What is lost after that is
seen by its position, which is one more from message to message.
"""

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import SplitResult

from django.conf import settings

from pki.core import audit_proof
from pki.core.errors import Refusal
from pki.models import AuditChain
from pki.services.auditing import chain as chains
from pki.services.auditing import sending
from pki.services.auditing.sending import Mark
from pki.services.transactions import writing

_PRIORITY = 13 * 8 + 6  # RFC 5424 6.2.1: log audit, informational
_SECONDS = 10.0  # for connecting, for each write, and for the receiver to close
_LEFT_OUT = "left out: too long for one datagram"


class SyslogAway(Refusal):
    """The receiver of the settings takes nothing, for as long as that lasts."""

    code = "syslog_away"


def send_due(now: datetime) -> int:
    """Send what was sealed since the last time; how many messages. Raises SyslogAway."""
    url: SplitResult | None = settings.PORTAL_AUDIT_SYSLOG
    chain = chains.known()
    if url is None or chain is None:
        return 0

    def deliver(piece: list[dict[str, Any]]) -> None:
        try:
            _send(url, [(record, _message(record, now)) for record in piece], now)
        except OSError as error:
            raise SyslogAway(
                f"PORTAL_AUDIT_SYSLOG {url.geturl()} takes nothing ({error.strerror or error}). Nothing is "
                "lost: what was not sent is sent when it can be."
            ) from error

    begun = Mark(chain.name, chain.sent_position, chain.sent_hash, chain.sent_checkpoint)
    return sending.send(begun, deliver, _keep)


def _keep(mark: Mark) -> None:
    with writing():
        AuditChain.objects.filter(pk=1).update(
            sent_position=mark.position, sent_hash=mark.hash, sent_checkpoint=mark.checkpoint
        )


def _message(record: dict[str, Any], now: datetime) -> bytes:
    """RFC 5424 6, without structured data: the JSON line is the message."""
    at = record["event"]["at"] if "event" in record else chains.written(now)
    header = f"<{_PRIORITY}>1 {at} {socket.gethostname() or '-'} hatchery {os.getpid()} {record['type']} - "
    return header.encode("ascii", "replace") + audit_proof.canonical(record)


def _send(url: SplitResult, messages: list[tuple[dict[str, Any], bytes]], now: datetime) -> None:
    with contextlib.closing(_connected(url)) as connection:
        if url.scheme == "tcp":
            # RFC 6587 3.4.1: octet counting, for a line end is no end of a message.
            connection.sendall(b"".join(b"%d %b" % (len(message), message) for _, message in messages))
            connection.shutdown(socket.SHUT_WR)
            # Closed by who has read it all, or reset by who has not.
            while connection.recv(4096):
                pass
            return
        for record, message in messages:
            try:
                connection.send(message)
            except OSError as error:
                if error.errno != errno.EMSGSIZE or "event" not in record:
                    raise
                short = {**record, "event": {**record["event"], "detail": _LEFT_OUT}}
                connection.send(_message(short, now))


def _connected(url: SplitResult) -> socket.socket:
    if url.scheme == "tcp":
        return socket.create_connection((url.hostname, url.port), timeout=_SECONDS)
    error: OSError = OSError("It has no address.")
    for family, address in _addresses(url):
        made = socket.socket(family, socket.SOCK_DGRAM)
        made.settimeout(_SECONDS)
        try:
            made.connect(address)
        except OSError as failed:
            made.close()
            error = failed
        else:
            return made
    raise error


def _addresses(url: SplitResult) -> Iterator[tuple[int, Any]]:
    if url.scheme == "unix":
        yield socket.AF_UNIX, url.path
        return
    for family, _, _, _, address in socket.getaddrinfo(url.hostname, url.port, type=socket.SOCK_DGRAM):
        yield family, address
