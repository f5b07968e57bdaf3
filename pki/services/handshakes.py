"""TLS handshakes that were refused: known by address, reason and certificate, folded against floods."""

import logging
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import DatabaseError

from pki.models import Certificate
from pki.services import audit
from pki.services.audit import Actor
from pki.services.refusals import network
from pki.services.transactions import writing

log = logging.getLogger("hatchery.handshake")

# One event at once, then one for all that follow alike within this time.
WINDOW = timedelta(seconds=60)
# At most so many kinds are told apart within the window; the rest share one event a reason.
MOST_APART = 200


@dataclass(frozen=True)
class RefusedHandshake:
    """A connection that was turned away before anything ran for it."""

    listener: str
    address: str
    reason: str  # stable: certificate_revoked, unknown_issuer, no_certificate, timeout, …
    explanation: str
    ours: bool = False  # whether the certificate is one that we issued
    fingerprint: str = ""  # of the refused certificate, SHA-256, hex; empty if none was sent
    subject: str = ""  # RFC 4514
    issuer: str = ""
    serial: str = ""  # hex


@dataclass
class _Fold:
    latest: RefusedHandshake
    since: datetime
    count: int = 0  # not yet written


class HandshakeLog:
    """Writes refused handshakes to the audit trail. One object a process; threads may share it."""

    def __init__(self) -> None:
        self._folds: dict[tuple[str, str, str], _Fold] = {}
        self._lock = threading.Lock()

    def note(self, refused: RefusedHandshake, now: datetime) -> None:
        """Record a refusal now, or count it towards the next record of its kind."""
        key = (network(refused.address), refused.reason, refused.serial if refused.ours else "")
        with self._lock:
            if key not in self._folds and len(self._folds) >= MOST_APART:
                key = ("many addresses", refused.reason, "")
            fold = self._folds.get(key)
            if fold is not None:
                fold.latest = refused
                fold.count += 1
                return
            self._folds[key] = _Fold(refused, now)
        _write(refused, 1, now)

    def flush(self, now: datetime, *, everything: bool = False) -> None:
        """Write the counts whose window has passed, or all of them."""
        with self._lock:
            due = {key: fold for key, fold in self._folds.items() if everything or now - fold.since >= WINDOW}
            for key in due:
                del self._folds[key]
        for fold in due.values():
            if fold.count:
                _write(fold.latest, fold.count, now)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing that a flush could write."""
        return not self._folds


def _write(refused: RefusedHandshake, count: int, now: datetime) -> None:
    certificate = None
    try:
        if refused.ours:
            certificate = (
                Certificate.objects.select_related("device").filter(fingerprint=refused.fingerprint).first()
            )
        with writing():
            audit.record(
                "handshake.refused",
                Actor.anonymous(refused.address),
                now,
                device=certificate.device if certificate else None,
                certificate=certificate,
                count=count,
                level=logging.WARNING,
                listener=refused.listener,
                reason=refused.reason,
                explanation=refused.explanation,
                subject=refused.subject,
                issuer=refused.issuer,
                certificate_serial=refused.serial,
                fingerprint=refused.fingerprint,
            )
    except DatabaseError:
        # The refusal itself stands; only its record is lost, and that must be seen.
        log.exception(
            "A refused handshake could not be recorded: %s from %s", refused.reason, refused.address
        )
