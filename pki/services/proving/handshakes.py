"""Clients that were turned away: known by address, reason and certificate, folded against floods.

By a TLS handshake, or by a proxy's word for a client whose handshake the proxy took.
"""

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from django.db import DatabaseError

from pki.core import pins, reading
from pki.models import Certificate
from pki.services import audit
from pki.services.audit import Actor
from pki.services.enrolling.refusals import network
from pki.services.proving.folding import Fold, FoldedLog
from pki.services.transactions import writing

log = logging.getLogger("hatchery.handshake")


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
    """Writes refused handshakes to the audit trail. One object a process; threads may share it."""

    def fold_of(self, noted: RefusedHandshake) -> Fold:
        return (network(noted.address), noted.reason, noted.serial if noted.ours else "")

    def write(self, noted: RefusedHandshake, count: int, now: datetime) -> None:
        certificate = None
        try:
            if noted.ours:
                certificate = (
                    Certificate.objects.select_related("device").filter(fingerprint=noted.fingerprint).first()
                )
            with writing():
                audit.record(
                    "handshake.refused",
                    Actor.anonymous(noted.address),
                    now,
                    device=certificate.device if certificate else None,
                    certificate=certificate,
                    count=count,
                    level=logging.WARNING,
                    listener=noted.listener,
                    reason=noted.reason,
                    explanation=noted.explanation,
                    subject=noted.subject,
                    issuer=noted.issuer,
                    certificate_serial=noted.serial,
                    fingerprint=noted.fingerprint,
                    forwarded_by=noted.forwarded_by,
                )
        except DatabaseError:
            # The refusal itself stands; only its record is lost, and that must be seen.
            log.exception(
                "A refused handshake could not be recorded: %s from %s", noted.reason, noted.address
            )


# This process's refused handshakes; the worker flushes them.
TURNED_AWAY = HandshakeLog()
