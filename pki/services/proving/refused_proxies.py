"""Who asked as a proxy and is none: known by address and reason, folded against floods."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pki.core import pins
from pki.core.visitors import network
from pki.services.proving.folding import Fold, FoldedLog
from pki.services.proving.proxies import ProxyUnknown


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
    """Refused proxies."""

    kind = "proxy.refused"

    def fold_of(self, noted: RefusedProxy) -> Fold:
        return (network(noted.address), noted.reason, f"{noted.listener} {noted.fingerprint}")

    def certificate_of(self, noted: RefusedProxy) -> str:
        return noted.fingerprint

    def detail_of(self, noted: RefusedProxy) -> Mapping[str, Any]:
        return {
            "listener": noted.listener,
            "reason": noted.reason,
            "explanation": noted.explanation,
            "fingerprint": noted.fingerprint,
        }


# This process's refused proxies; the worker flushes them.
REFUSED_PROXIES = RefusedProxyLog()
