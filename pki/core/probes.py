"""What a server showed to somebody who knocked: how far the handshake came, and all that was said in it."""

from dataclasses import dataclass
from enum import StrEnum

from cryptography import x509

from pki.core.targets import Target


class Outcome(StrEnum):
    """How it ended."""

    NOT_RESOLVED = "its name was not resolved"
    CLOSED = "nobody listens on that port"
    UNREACHABLE = "it was not reached"
    NOT_TLS = "it speaks something else than TLS"
    SILENT = "it did not answer in time"
    ENDED = "it ended the connection"
    ALERT = "it refused, and said why"
    FAILED = "the handshake failed"
    MET = "the handshake was done"


# Of these nothing was seen.
UNREACHED = frozenset({Outcome.NOT_RESOLVED, Outcome.CLOSED, Outcome.UNREACHABLE, Outcome.SILENT})

# RFC 8446 6.2. With some of them a server says what it thinks of a client's certificate, or of its absence.
HANDSHAKE_FAILURE, BAD_CERTIFICATE, UNSUPPORTED_CERTIFICATE = 40, 42, 43
CERTIFICATE_REVOKED, CERTIFICATE_EXPIRED, CERTIFICATE_UNKNOWN = 44, 45, 46
UNKNOWN_CA, ACCESS_DENIED, DECRYPT_ERROR = 48, 49, 51
PROTOCOL_VERSION, INSUFFICIENT_SECURITY, INTERNAL_ERROR = 70, 71, 80
UNRECOGNIZED_NAME, CERTIFICATE_REQUIRED = 112, 116
ALERTS = {
    10: "unexpected_message",
    20: "bad_record_mac",
    HANDSHAKE_FAILURE: "handshake_failure",
    BAD_CERTIFICATE: "bad_certificate",
    UNSUPPORTED_CERTIFICATE: "unsupported_certificate",
    CERTIFICATE_REVOKED: "certificate_revoked",
    CERTIFICATE_EXPIRED: "certificate_expired",
    CERTIFICATE_UNKNOWN: "certificate_unknown",
    47: "illegal_parameter",
    UNKNOWN_CA: "unknown_ca",
    ACCESS_DENIED: "access_denied",
    50: "decode_error",
    DECRYPT_ERROR: "decrypt_error",
    PROTOCOL_VERSION: "protocol_version",
    INSUFFICIENT_SECURITY: "insufficient_security",
    INTERNAL_ERROR: "internal_error",
    86: "inappropriate_fallback",
    109: "missing_extension",
    UNRECOGNIZED_NAME: "unrecognized_name",
    CERTIFICATE_REQUIRED: "certificate_required",
    120: "no_application_protocol",
}


@dataclass(frozen=True)
class Probed:
    """One knock at a server, and what came of it. What did not come is empty."""

    target: Target
    name: str  # the host that its certificate is to be for; sent as SNI, if it is a name
    outcome: Outcome
    address: str = ""  # that was connected to
    words: str = ""  # on the outcome: what it speaks instead, or what went wrong
    alert: int | None = None  # of the server
    protocol: str = ""  # as OpenSSL writes it: TLSv1.3, TLSv1
    cipher: str = ""
    group: str = ""  # of the key exchange
    chain: tuple[x509.Certificate, ...] = ()  # as sent
    is_chain_read: bool = True  # False if a certificate in it is malformed
    asks: bool = False  # whether it asked for a client's certificate
    acceptable: tuple[x509.Name, ...] = ()  # the CAs that it named then
    shown: tuple[x509.Certificate, ...] = ()  # the client's certificate and those above it, ready to be shown
    stapled: bytes = b""  # an OCSP answer, DER


def alert_in_words(alert: int) -> str:
    """The name of an alert (RFC 8446 6), or its number."""
    return ALERTS.get(alert, f"number {alert}")


def foreign(first: bytes) -> str:
    """What a server speaks that begins so; empty if it may be TLS (RFC 8446 5.1: a record's type, then 3)."""
    if not first or (first[0] in range(20, 25) and first[1:2] in (b"", b"\x03")):
        return ""
    return next((words for begin, words in _FOREIGN if first.startswith(begin)), "something else than TLS")


HTTP = "plain HTTP"
_FOREIGN = (
    (b"HTTP/", HTTP),
    (b"<", HTTP),  # an error of HTTP/0.9, without a status line
    (b"SSH-", "SSH"),
    (b"220", "SMTP or FTP, which begin TLS with STARTTLS"),
    (b"* OK", "IMAP, which begins TLS with STARTTLS"),
    (b"+OK", "POP3, which begins TLS with STLS"),
)
