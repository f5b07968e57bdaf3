"""A knock at a server: one TLS handshake that verifies nothing and notes everything.

It speaks TLS and nothing else: what comes from the other side is read by OpenSSL, and nothing of it but
certificates, names of CAs, alerts and an OCSP answer leaves this room.
"""

import ipaddress
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from OpenSSL import SSL

from pki.core import probes
from pki.core.credentials import Credential
from pki.core.errors import UNREADABLE
from pki.core.probes import Outcome, Probed
from pki.core.targets import Target
from pki.services import reaching

SECONDS = 10.0  # from the question to the resolver to the end
# With TLS 1.3 a server says what it thinks of a client's certificate after the handshake, or says nothing.
QUIET = 1.0  # seconds
_WARNING = 1  # RFC 5246 7.2: an alert's level; close_notify has it, and ends nothing that matters
_LEGACY_SERVER_CONNECT = 0x4  # SSL_OP_*: those without RFC 5746 too


def probe(
    target: Target,
    *,
    name: str = "",
    credential: Credential | None = None,
    judge: Callable[[Sequence[str]], None] = lambda addresses: None,
    seconds: float = SECONDS,
) -> Probed:
    """What a server shows. `name` is what its certificate is to be for, if that is not the target's host.

    `judge` may refuse the addresses that the host leads to, by raising. Nothing else is raised.
    """
    deadline = time.monotonic() + seconds
    name = name or target.host
    try:
        addresses = reaching.resolved(target.host, target.port, deadline)
    except OSError:
        return Probed(target, name, Outcome.NOT_RESOLVED)
    judge(addresses)
    try:
        raw, address = reaching.connected(addresses, target.port, deadline)
    except ConnectionRefusedError:
        return Probed(target, name, Outcome.CLOSED)
    except OSError as error:
        words = "no answer" if isinstance(error, TimeoutError) else error.strerror or type(error).__name__
        return Probed(target, name, Outcome.UNREACHABLE, words=words)
    with raw:
        return _Knock(raw, deadline, name, credential).made(target, address)


@dataclass
class _Noted:
    """What the callbacks of OpenSSL hear."""

    alert: int | None = None
    asks: bool = False
    is_done_with_us: bool = False  # whether it has sent what comes after a good handshake
    stapled: bytes = b""


@dataclass
class _Knock:
    """One handshake over one connection."""

    raw: socket.socket
    deadline: float
    name: str
    credential: Credential | None
    noted: _Noted = field(default_factory=_Noted)
    first: bytes = b""  # what the server began with
    is_done: bool = False  # whether the handshake was

    def made(self, target: Target, address: str) -> Probed:
        tls = self._connection(target)
        outcome, words = self._outcome(tls)
        chain, is_read = _chain(tls)
        return Probed(
            target,
            self.name,
            outcome,
            address,
            words,
            self.noted.alert,
            # Before a ServerHello it is what we offered.
            protocol=tls.get_protocol_version_name() if tls.get_cipher_name() or chain else "",
            cipher=tls.get_cipher_name() or "",
            group=(tls.get_group_name() or "") if self.is_done else "",
            chain=chain,
            is_chain_read=is_read,
            asks=self.noted.asks,
            acceptable=_acceptable(tls),
            shown=(self.credential.certificate, *self.credential.chain) if self.credential else (),
            stapled=self.noted.stapled,
        )

    def _connection(self, target: Target) -> SSL.Connection:
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_verify(SSL.VERIFY_NONE)
        # All that OpenSSL still knows: who is refused for being old is to be met, to say how old.
        context.set_min_proto_version(SSL.TLS1_VERSION)
        context.set_cipher_list(b"ALL:@SECLEVEL=0")
        context.set_options(_LEGACY_SERVER_CONNECT)
        context.set_info_callback(self._hear)
        context.set_ocsp_client_callback(self._keep_stapled)
        if self.credential is not None:
            context.use_certificate(self.credential.certificate)
            context.use_privatekey(self.credential.key)
            for each in self.credential.chain:
                context.add_extra_chain_cert(each)
        tls = SSL.Connection(context, None)
        tls.set_connect_state()
        tls.request_ocsp()
        if not _is_address(self.name):
            tls.set_tlsext_host_name(self.name.encode())
        return tls

    def _hear(self, tls: SSL.Connection, where: int, code: int) -> None:
        if where == SSL.SSL_CB_READ_ALERT and code >> 8 != _WARNING:
            self.noted.alert = code & 0xFF
        state = tls.get_state_string()
        if b"read server certificate request" in state:
            self.noted.asks = True
        elif b"read server session ticket" in state:
            self.noted.is_done_with_us = True

    def _keep_stapled(self, tls: SSL.Connection, stapled: bytes, _: object) -> bool:
        self.noted.stapled = stapled
        return True

    # --- The conversation ---

    def _outcome(self, tls: SSL.Connection) -> tuple[Outcome, str]:
        try:
            self._handshake(tls)
            if self.noted.asks and tls.get_protocol_version_name() == "TLSv1.3":
                self._hear_out(tls)
        except TimeoutError:
            return Outcome.SILENT, ""
        except _Ended:
            return self._failed("")
        except SSL.Error as error:
            self._send(tls)  # our alert, so that the server's log knows why
            return self._failed(_words(error))
        return Outcome.MET, ""

    def _failed(self, words: str) -> tuple[Outcome, str]:
        """Why there is no connection; without words the server ended it."""
        if foreign := probes.foreign(self.first):
            return Outcome.NOT_TLS, foreign
        if self.noted.alert is not None:
            return Outcome.ALERT, ""
        return (Outcome.FAILED, words) if words else (Outcome.ENDED, "")

    def _handshake(self, tls: SSL.Connection) -> None:
        while True:
            try:
                tls.do_handshake()
            except SSL.WantReadError:
                self._send(tls)
                if not self.first:
                    self._await_first()
                self._receive(tls, self.deadline)
            else:
                self._send(tls)
                self.is_done = True
                return

    def _await_first(self) -> None:
        """Wait for the first bytes; if there are none for half of the time, end what may be taken for a line.

        A server of plain HTTP waits for the end of its request, and says then what it is.
        """
        self.raw.settimeout(reaching.left(self.deadline) / 2)
        try:
            self.raw.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            self._write(b"\r\n\r\n")
        except OSError:
            pass  # heard again by who receives

    def _hear_out(self, tls: SSL.Connection) -> None:
        """Wait for what a server thinks of a client's certificate, or of its absence.

        Raises SSL.Error, _Ended. A ticket or data mean that it goes on, and so does silence.
        """
        deadline = min(self.deadline, time.monotonic() + QUIET)
        while True:
            try:
                tls.recv(1)
            except SSL.ZeroReturnError:
                return
            except SSL.WantReadError:
                if self.noted.is_done_with_us:
                    return
                try:
                    self._receive(tls, deadline)
                except TimeoutError:
                    return
            else:
                return

    def _send(self, tls: SSL.Connection) -> None:
        """Send what OpenSSL has ready."""
        while True:
            try:
                data = tls.bio_read(16384)
            except SSL.WantReadError:
                return
            self._write(data)

    def _write(self, data: bytes) -> None:
        try:
            self.raw.settimeout(reaching.left(self.deadline))
            self.raw.sendall(data)
        except OSError:
            pass  # tells itself by what can be read then

    def _receive(self, tls: SSL.Connection, deadline: float) -> None:
        self.raw.settimeout(reaching.left(deadline))
        try:
            data = self.raw.recv(16384)
        except TimeoutError:
            raise
        except OSError as error:
            raise _Ended from error
        self.first = self.first or data[:8]
        if not data:
            raise _Ended
        tls.bio_write(data)


class _Ended(Exception):
    """The server ended the connection."""


def _words(error: SSL.Error) -> str:
    queue = error.args[0] if error.args and isinstance(error.args[0], list) else ()
    return ", ".join(str(entry[-1]) for entry in queue) or "OpenSSL does not say why"


def _chain(tls: SSL.Connection) -> tuple[tuple[x509.Certificate, ...], bool]:
    """The certificates as sent, and whether all of them could be read."""
    try:
        return tuple(tls.get_peer_cert_chain(as_cryptography=True) or ()), True
    except UNREADABLE:
        return (), False


def _acceptable(tls: SSL.Connection) -> tuple[x509.Name, ...]:
    try:
        return tuple(tls.get_client_ca_list(as_cryptography=True))
    except UNREADABLE:
        return ()


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
