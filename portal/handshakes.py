"""How a connection can end before anything runs for it."""

from dataclasses import dataclass

from cryptography import x509


@dataclass(frozen=True)
class RefusedCertificate:
    """A client certificate that was refused, and why."""

    certificate: x509.Certificate
    reason: str
    explanation: str
    ours: bool


class HandshakeFailed(Exception):
    """A handshake that ended without a connection."""

    def __init__(self, reason: str, explanation: str, refused: RefusedCertificate | None = None) -> None:
        super().__init__(explanation)
        self.reason = reason
        self.explanation = explanation
        self.refused = refused
