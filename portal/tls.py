"""TLS by pyOpenSSL, here and in `portal.contexts` alone: handshakes, and the certificates that clients show.

A pyOpenSSL callback sees the certificate that is refused, so that we can say which device was turned
away and why; the standard library's `ssl` tells only that one was.
"""

import errno
import logging
import socket
from collections.abc import Iterable
from datetime import datetime

from cryptography import x509
from django.db import Error
from django.utils import timezone
from OpenSSL import SSL, crypto

from pki.core import pins
from pki.endpoints.peer import NOT_PROVEN
from pki.services import complaints
from pki.services.proving import status
from portal.handshakes import HandshakeFailed, RefusedCertificate
from portal.listeners import Listener, TlsMode
from portal.prefaces import Preface
from portal.sockets import DONE, READ, WRITE, ClientSocket

log = logging.getLogger("hatchery.tls")

_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED
# X509_V_ERR_*, openssl/x509_vfy.h: our reason and a sentence for each that people meet.
_VERIFY_ERRORS = {
    2: ("unknown_issuer", "its issuer is not known here"),
    7: ("bad_signature", "its signature does not verify"),
    9: ("certificate_not_yet_valid", "it is not valid yet: a clock is wrong"),
    _EXPIRED: ("certificate_expired", "it has expired"),
    18: ("unknown_issuer", "it is self-signed"),
    19: ("unknown_issuer", "its root is not trusted here"),
    20: ("unknown_issuer", "its issuer is not known here"),
    21: ("unknown_issuer", "its issuer is not known here"),
    26: ("wrong_purpose", "it lacks the extended key usage clientAuth"),
}
# Part of OpenSSL's reason → our reason and a sentence.
_HANDSHAKE_ERRORS = {
    "did not return a certificate": ("no_certificate", "the client sent no certificate"),
    "unsupported protocol": ("protocol_version", "the client offers no TLS version from 1.2 on"),
    "protocol version": ("protocol_version", "client and server share no TLS version"),
    "no shared cipher": ("no_shared_cipher", "the client offers no forward-secret AEAD cipher suite"),
    "no suitable key share": ("no_shared_group", "client and server share no key exchange group"),
    "no suitable groups": ("no_shared_group", "client and server share no key exchange group"),
    "http request": ("plain_http", "the client spoke plain HTTP; the URL must begin with https://"),
    "unknown ca": ("client_distrusts_us", "the client does not trust our root; give it ca.pem"),
    "bad certificate": ("client_distrusts_us", "the client refuses our certificate"),
    "certificate unknown": ("client_distrusts_us", "the client refuses our certificate"),
    "certificate expired": (
        "client_distrusts_us",
        "the client finds our certificate expired: check its clock",
    ),
    "wrong version number": ("not_tls", "what the client sent is not TLS"),
    "packet length too long": ("not_tls", "what the client sent is not TLS"),
    "unexpected eof": ("aborted", "the client went away during the handshake"),
}
# Which are given elsewhere here, and by the worker.
_OTHER_REASONS = (
    "aborted",
    "certificate_malformed",
    "certificate_refused",
    "handshake_failed",
    "timeout",
    "unavailable",
)


def reasons() -> set[str]:
    """Every reason for which a handshake may fail, or a client be turned away whom a proxy forwards."""
    known = {name for name, _ in (*_VERIFY_ERRORS.values(), *_HANDSHAKE_ERRORS.values())}
    return {*known, *_OTHER_REASONS, *(kind.code for kind in NOT_PROVEN)}


def verify(connection: SSL.Connection, raw: crypto.X509, error: int, depth: int, accepted: int) -> bool:
    """OpenSSL's verdict on each certificate of the chain; ours on the client's own. Raises nothing."""
    client: TlsSocket = connection.get_app_data()
    try:
        return _verdict(client, raw, error, depth, accepted)
    except Exception:
        # pyOpenSSL would keep it with the context, and raise it from the connection of somebody else.
        log.exception("Nobody knows whether a client's certificate stands")
        client.unjudged = True
        return False


def _verdict(client: "TlsSocket", raw: crypto.X509, error: int, depth: int, accepted: int) -> bool:
    client.resumed = False  # a resumed session verifies nothing
    if accepted and depth > 0:
        return True  # of the chain the client's own is left
    try:
        certificate = raw.to_cryptography()
    except (ValueError, TypeError, x509.InvalidVersion):
        # OpenSSL reads more than cryptography does: what cannot be read is not trusted either.
        client.malformed = True
        return False
    if error == _EXPIRED and depth == 0 and _lets_late_ones_renew(client.listener):
        # OpenSSL goes on if we do, and comes here once more to end with.
        client.refused = _standing_refusal(certificate, timezone.now(), late=True)
        return client.refused is None
    if not accepted:
        reason, explanation = _VERIFY_ERRORS.get(
            error, ("certificate_refused", f"OpenSSL refuses it with X509_V_ERR number {error}")
        )
        client.refused = RefusedCertificate(
            certificate, reason, explanation, ours=reason == "certificate_expired"
        )
        return False
    late = _lets_late_ones_renew(client.listener)
    client.refused = _standing_refusal(certificate, timezone.now(), late=late)
    if client.refused is None:
        client.verified(certificate)
    return client.refused is None


def _lets_late_ones_renew(listener: Listener) -> bool:
    """Whether devices renew here, and no proxy or administrator comes with a certificate of his own."""
    return listener.mutual and not listener.proxied


def _standing_refusal(
    certificate: x509.Certificate, now: datetime, *, late: bool
) -> RefusedCertificate | None:
    """Why a client's certificate is not let in; with `late`, one that has expired may be, to be renewed."""
    stands = status.renewable if late else status.standing
    try:
        stands(pins.fingerprint_of(certificate), now)
    except (status.SuspendedDevice, status.RetiredDevice):
        return None  # may connect, and is told by a 403 which of the two it is
    except status.NotStanding as refusal:
        ours = not isinstance(refusal, status.UnknownCertificate)
        return RefusedCertificate(certificate, refusal.code, refusal.detail, ours)
    except Error as error:
        complaints.COMPLAINTS.say(
            log, "Clients are turned away: nobody knows whether they stand", complaints.reason(error)
        )
        return RefusedCertificate(certificate, "unavailable", "the database did not answer", ours=False)
    return None


class TlsSocket(ClientSocket):
    """A connection of a TLS listener."""

    def __init__(
        self,
        raw: socket.socket,
        listener: Listener,
        address: str,
        first: SSL.Context,
        current: SSL.Context,
        preface: Preface | None = None,
    ) -> None:
        """`first` and `current`: see `portal.serving.Tls`."""
        super().__init__(raw, listener, address, preface)
        self.resumed = listener.mode is TlsMode.MUTUAL  # until `verify` is called
        self.refused: RefusedCertificate | None = None
        self.malformed = False  # whether a certificate came that cannot be read
        self.unjudged = False  # whether a certificate came, and asking for its standing failed
        self._connection = SSL.Connection(first, raw)
        # pyOpenSSL sets this mode, and SSL_read does not return while messages come that are none of the
        # application's: a client that sends KeyUpdates without end would have the poller for itself.
        SSL._lib.SSL_clear_mode(self._connection._ssl, SSL._lib.SSL_MODE_AUTO_RETRY)  # type: ignore[attr-defined]
        if current is not first:
            # OpenSSL goes on with the first one's ticket keys; certificate, key, chain, store of issuers and
            # their names are the other's from now on (SSL_set_SSL_CTX).
            self._connection.set_context(current)
        self._connection.set_app_data(self)
        self._connection.set_accept_state()
        self._peer_certificate: x509.Certificate | None = None

    def handshake(self) -> int:
        if event := super().handshake():
            return event
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return READ
        except SSL.WantWriteError:
            return WRITE
        except SSL.SysCallError:
            raise HandshakeFailed("aborted", "the client went away during the handshake") from None
        except SSL.Error as error:
            raise self._failure(error) from error
        return DONE

    @property
    def peer_certificate(self) -> x509.Certificate | None:
        if self._peer_certificate is None:
            self._peer_certificate = self._connection.get_peer_certificate(as_cryptography=True)
        return self._peer_certificate

    def verified(self, certificate: x509.Certificate) -> None:
        """`verify` has let the client's certificate pass, and need not be asked for it again."""
        self._peer_certificate = certificate

    @property
    def protocol(self) -> str:
        return self._connection.get_protocol_version_name()

    @property
    def cipher(self) -> str:
        return self._connection.get_cipher_name() or "none"

    def end(self) -> None:
        # The connection and this object refer to each other; without this the pair waits for the
        # garbage collector.
        self._connection.set_app_data(None)
        super().end()

    def _failure(self, error: SSL.Error) -> HandshakeFailed:
        if self.refused is not None:
            refused = self.refused
            return HandshakeFailed(refused.reason, refused.explanation, refused)
        if self.malformed:
            return HandshakeFailed("certificate_malformed", "its certificate is not one by RFC 5280")
        if self.unjudged:
            return HandshakeFailed("unavailable", "whether its certificate stands could not be found out")
        reasons = [str(entry[-1]) for entry in _queue(error)]
        for reason in reasons:
            for part, (name, explanation) in _HANDSHAKE_ERRORS.items():
                if part in reason:
                    return HandshakeFailed(name, explanation)
        return HandshakeFailed("handshake_failed", f"OpenSSL says: {', '.join(reasons) or 'nothing'}")

    def _receive_now(self, size: int) -> tuple[bytes, int]:
        self._check_open()
        try:
            return self._connection.recv(size), DONE
        except SSL.WantReadError:
            return b"", READ
        except SSL.WantWriteError:
            return b"", WRITE
        except SSL.ZeroReturnError:
            return b"", DONE
        except SSL.Error as error:
            raise _reset(error) from error

    def _send_now(self, data: bytes) -> tuple[int, int]:
        self._check_open()
        try:
            return self._connection.send(data), DONE
        except SSL.WantReadError:
            return 0, READ
        except SSL.WantWriteError:
            return 0, WRITE
        except SSL.Error as error:
            raise _reset(error) from error

    def _close_notify(self) -> None:
        self._check_open()
        try:
            self._connection.shutdown()
        except SSL.Error:
            pass  # gone already, or its handshake never ended

    def _check_open(self) -> None:
        """Raises OSError after `end`: OpenSSL would go on with a number that may be a stranger's by now."""
        if self.raw.fileno() < 0:
            raise OSError(errno.EBADF, "the connection is closed")


def _queue(error: SSL.Error) -> Iterable[tuple[str, ...]]:
    return error.args[0] if error.args and isinstance(error.args[0], list) else ()


def _reset(error: SSL.Error) -> ConnectionResetError:
    return ConnectionResetError(errno.ECONNRESET, f"TLS ended: {error}")
