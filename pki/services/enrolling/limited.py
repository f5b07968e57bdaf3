"""Enrollments that were answered with 429: known by address and reason, folded against floods."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pki.core.visitors import network
from pki.services.proving.folding import Fold, FoldedLog


@dataclass(frozen=True)
class Limited:
    """An enrollment of which there were too many alike."""

    address: str | None
    reason: str  # stable: too_many_failures, too_many_without_token
    instead_of: str  # the code of the refusal that it would have been


class LimitedLog(FoldedLog[Limited]):
    """Enrollments of which there were too many."""

    kind = "enrollment.limited"

    def fold_of(self, noted: Limited) -> Fold:
        return (network(noted.address), noted.reason, "")

    def detail_of(self, noted: Limited) -> Mapping[str, Any]:
        return {"code": noted.reason, "instead_of": noted.instead_of}


# This process's; the worker flushes them.
LIMITED = LimitedLog()
