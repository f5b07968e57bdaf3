"""Refused enrollments that come again and again: on record each time, folded against floods."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pki.core.visitors import network
from pki.models import Device
from pki.services.proving.folding import Fold, FoldedLog


@dataclass(frozen=True)
class Repeated:
    """A refusal of which one alike is kept already."""

    address: str | None
    reason: str  # stable: the refusal's code
    name: str
    explanation: str
    device: Device | None  # whose token it was


class RepeatedLog(FoldedLog[Repeated]):
    """Refused enrollments of which one alike is kept."""

    kind = "enrollment.refused"

    def fold_of(self, noted: Repeated) -> Fold:
        # Not by the name: a stranger may have as many as he likes.
        return (network(noted.address), noted.reason, str(noted.device.pk) if noted.device else "")

    def detail_of(self, noted: Repeated) -> Mapping[str, Any]:
        return {"code": noted.reason, "name": noted.name, "reason": noted.explanation}

    def device_of(self, noted: Repeated) -> Device | None:
        return noted.device


# This process's; the worker flushes them.
REPEATED = RepeatedLog()
