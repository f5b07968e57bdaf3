"""Who asked as a proxy and is none: known by address and reason, folded against floods."""

import logging
from dataclasses import dataclass
from datetime import datetime

from django.db import DatabaseError

from pki.core import pins
from pki.models import Certificate
from pki.services import audit
from pki.services.audit import Actor
from pki.services.enrolling.refusals import network
from pki.services.proving.folding import Fold, FoldedLog
from pki.services.proving.proxies import ProxyUnknown
from pki.services.transactions import writing

log = logging.getLogger("hatchery.proxy")


@dataclass(frozen=True)
class RefusedProxy:
    """A request that only a named proxy may make."""

    listener: str
    address: str | None  # of the connection, whatever the request says
    reason: str  # stable: address_not_named, no_certificate, device_not_named, certificate_revoked, …
    explanation: str
    fingerprint: str = ""  # of the certificate that it showed for itself, SHA-256, hex

    @classmethod
    def of(cls, unknown: ProxyUnknown, listener: str, address: str | None) -> "RefusedProxy":
        own = unknown.certificate
        return cls(listener, address, unknown.reason, unknown.why, pins.fingerprint_of(own) if own else "")


class RefusedProxyLog(FoldedLog[RefusedProxy]):
    """Writes refused proxies to the audit trail. One object a process; threads may share it."""

    def fold_of(self, noted: RefusedProxy) -> Fold:
        return (network(noted.address), noted.reason, f"{noted.listener} {noted.fingerprint}")

    def write(self, noted: RefusedProxy, count: int, now: datetime) -> None:
        certificate = None
        try:
            if noted.fingerprint:
                shown = Certificate.objects.select_related("device")
                certificate = shown.filter(fingerprint=noted.fingerprint).first()
            with writing():
                audit.record(
                    "proxy.refused",
                    Actor.anonymous(noted.address),
                    now,
                    device=certificate.device if certificate else None,
                    certificate=certificate,
                    count=count,
                    level=logging.WARNING,
                    listener=noted.listener,
                    reason=noted.reason,
                    explanation=noted.explanation,
                    fingerprint=noted.fingerprint,
                )
        except DatabaseError:
            # The refusal itself stands; only its record is lost, and that must be seen.
            log.exception("A refused proxy could not be recorded: %s from %s", noted.reason, noted.address)


# This process's refused proxies; the worker flushes them.
REFUSED_PROXIES = RefusedProxyLog()
