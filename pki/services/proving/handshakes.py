"""Clients that were turned away: known by address, reason and certificate, folded against floods.

By a TLS handshake, or by a proxy's word for a client whose handshake the proxy took.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509

from pki.core import pins, reading
from pki.core.visitors import network
from pki.services.measuring import counted
from pki.services.proving.folding import Fold, FoldedLog


@dataclass(frozen=True)
class RefusedHandshake:
    """A connection that was turned away before anything ran for it."""

    listener: str
    address: str | None
    reason: str  # stable: certificate_revoked, unknown_issuer, no_certificate, timeout, …
    explanation: str
    ours: bool = False  # whether the certificate is one that we issued
    fingerprint: str = ""  # of the refused certificate, SHA-256, hex; empty if none was sent
    subject: str = ""  # RFC 4514
    issuer: str = ""
    serial: str = ""  # hex
    forwarded_by: str = ""  # the address of the proxy that took the handshake; empty if we did

    @classmethod
    def of(cls, certificate: x509.Certificate | None, *, ours: bool, **known: Any) -> "RefusedHandshake":
        """One in which this certificate was sent, or none."""
        if certificate is None:
            return cls(**known)
        return cls(
            ours=ours,
            fingerprint=pins.fingerprint_of(certificate),
            subject=reading.name_of(certificate, "subject"),
            issuer=reading.name_of(certificate, "issuer"),
            serial=f"{certificate.serial_number:x}",
            **known,
        )


class HandshakeLog(FoldedLog[RefusedHandshake]):
    """Refused handshakes."""

    kind = "handshake.refused"

    def note(self, noted: RefusedHandshake, now: datetime) -> None:
        counted.FAILED_HANDSHAKES.count(noted.listener, noted.reason)
        super().note(noted, now)

    def fold_of(self, noted: RefusedHandshake) -> Fold:
        return (network(noted.address), noted.reason, noted.serial if noted.ours else "")

    def certificate_of(self, noted: RefusedHandshake) -> str:
        return noted.fingerprint if noted.ours else ""

    def detail_of(self, noted: RefusedHandshake) -> Mapping[str, Any]:
        return {
            "listener": noted.listener,
            "reason": noted.reason,
            "explanation": noted.explanation,
            "subject": noted.subject,
            "issuer": noted.issuer,
            "certificate_serial": noted.serial,
            "fingerprint": noted.fingerprint,
            "forwarded_by": noted.forwarded_by,
        }


# This process's refused handshakes; the worker flushes them.
TURNED_AWAY = HandshakeLog()
