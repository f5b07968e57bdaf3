"""A mail server on this machine that keeps what it is given (RFC 5321)."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.services.receivers import raw_server


@dataclass
class Envelope:
    """A mail as it came."""

    sender: str
    recipients: list[str] = field(default_factory=list)
    text: str = ""


@dataclass
class MailServer:
    """Takes all mails, unless it refuses recipients."""

    port: int = 0
    mails: list[Envelope] = field(default_factory=list)
    refuses: bool = False

    def serve(self, connection: socket.socket) -> None:
        with connection.makefile("rwb") as stream:

            def say(line: str) -> None:
                stream.write(f"{line}\r\n".encode())
                stream.flush()

            say("220 mail.example")
            envelope = Envelope("")
            for raw in iter(stream.readline, b""):
                line = raw.decode().strip()
                match line.partition(" ")[0].upper():
                    case "EHLO" | "HELO":
                        say("250 mail.example")
                    case "MAIL":
                        envelope = Envelope(line)
                        say("250 OK")
                    case "RCPT":
                        envelope.recipients.append(line)
                        say("550 no such person, secret-password" if self.refuses else "250 OK")
                    case "DATA":
                        say("354 go on")
                        envelope.text = _text(stream.readline)
                        self.mails.append(envelope)
                        say("250 OK")
                    case "QUIT":
                        say("221 bye")
                        return
                    case _:
                        say("250 OK")


def _text(read: Callable[[], bytes]) -> str:
    lines = []
    while (line := read().decode()) not in (".\r\n", ""):
        lines.append(line)
    return "".join(lines)


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """A mail server until the block ends."""
    server = MailServer()
    with raw_server(server.serve) as port:
        server.port = port
        yield server
