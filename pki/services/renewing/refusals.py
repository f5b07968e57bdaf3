"""Renewals that were refused: in the audit trail, folded against a broken device that asks in a loop."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pki.core.errors import Refusal
from pki.services import limits
from pki.services.audit import Actor
from pki.services.proving.folding import Fold, FoldedLog
from pki.services.proving.status import Identity
from pki.services.rotating import members
from pki.services.transactions import writing


@dataclass(frozen=True)
class RefusedRenewal:
    """A renewal that a device was refused."""

    identity: Identity  # by the certificate that it showed
    address: str | None
    reason: str  # stable: the refusal's code
    explanation: str


class RefusedRenewalLog(FoldedLog[RefusedRenewal]):
    """Refused renewals."""

    kind = "renewal.refused"

    def fold_of(self, noted: RefusedRenewal) -> Fold:
        return ("", noted.reason, noted.identity.fingerprint)

    def detail_of(self, noted: RefusedRenewal) -> Mapping[str, Any]:
        return {"code": noted.reason, "reason": noted.explanation}

    def certificate_of(self, noted: RefusedRenewal) -> str:
        return noted.identity.fingerprint

    def actor_of(self, noted: RefusedRenewal) -> Actor:
        return Actor(f"device:{noted.identity.device}", noted.address)


# This process's refused renewals; the worker flushes them.
REFUSED_RENEWALS = RefusedRenewalLog()


def note(identity: Identity, refusal: Refusal, address: str | None, now: datetime) -> Refusal:
    """Keep a refusal of the renewal that a device asked for, and hand it back, or a LimitReached instead."""
    limit = limits.of_device(identity.device_id)
    limited = limits.reached(limit, now)
    if limited is None:
        try:
            with writing():
                limits.spend(limit, now)
        except limits.LimitReached as reached:  # by others this moment
            limited = reached
    if limited is not None:
        REFUSED_RENEWALS.note(RefusedRenewal(identity, address, limited.code, limited.detail), now)
        return limited
    REFUSED_RENEWALS.note(RefusedRenewal(identity, address, refusal.code, refusal.detail), now)
    if identity.asked:
        members.failed(identity.device_id, refusal.code, refusal.detail, now)
    return refusal
