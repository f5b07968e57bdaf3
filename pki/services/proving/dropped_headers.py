"""Forwarded certificates from who has no right to forward any: dropped, and counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pki.core.visitors import network
from pki.services.proving.folding import Fold, FoldedLog


@dataclass(frozen=True)
class DroppedHeaders:
    """The forwarded certificates of one request, unread."""

    listener: str
    address: str | None  # of the connection, whatever the request says
    reason: str  # stable: not_asked, proxy_unknown, other_form
    explanation: str
    headers: tuple[str, ...]  # their names


class DroppedLog(FoldedLog[DroppedHeaders]):
    """Dropped headers."""

    kind = "forwarded_certificate.dropped"

    def fold_of(self, noted: DroppedHeaders) -> Fold:
        return (network(noted.address), noted.reason, noted.listener)

    def detail_of(self, noted: DroppedHeaders) -> Mapping[str, Any]:
        return {
            "listener": noted.listener,
            "reason": noted.reason,
            "explanation": noted.explanation,
            "headers": list(noted.headers),
        }


# This process's dropped headers; the worker flushes them.
DROPPED = DroppedLog()
