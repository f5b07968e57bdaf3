"""Recording what strangers can repeat as often as they like: at once, and then by its number."""

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar

from django.db import Error

from pki.models import Certificate, Device
from pki.services import audit
from pki.services.audit import Actor
from pki.services.complaints import COMPLAINTS, reason
from pki.services.transactions import writing

log = logging.getLogger("hatchery.folded")

# One event at once, then one for all that follow alike within this time.
WINDOW = timedelta(seconds=60)
# At most so many kinds are told apart within the window; the rest share one event a reason.
MOST_APART = 200


class Refused(Protocol):
    """What every log of these can note."""

    @property
    def address(self) -> str | None: ...

    @property
    def reason(self) -> str: ...


Noted = TypeVar("Noted", bound=Refused)
Fold = tuple[str, str, str]  # network, reason, and what else tells apart


@dataclass
class _Folded(Generic[Noted]):
    latest: Noted
    since: datetime
    count: int = 0  # not yet written


class FoldedLog(ABC, Generic[Noted]):
    """Writes to the audit trail, folded. One object a process; threads may share it."""

    kind: str  # of the audit events

    def __init__(self) -> None:
        self._folds: dict[Fold, _Folded[Noted]] = {}
        self._lock = threading.Lock()

    @abstractmethod
    def fold_of(self, noted: Noted) -> Fold:
        """What is alike falls into the same fold."""

    @abstractmethod
    def detail_of(self, noted: Noted) -> Mapping[str, Any]:
        """What the event says of it."""

    def certificate_of(self, noted: Noted) -> str:
        """The fingerprint of the certificate of ours that it is about; empty for none."""
        return ""

    def device_of(self, noted: Noted) -> Device | None:
        """The device that it is about, if there is no certificate that says so."""
        return None

    def actor_of(self, noted: Noted) -> Actor:
        """Who did it."""
        return Actor.anonymous(noted.address)

    def note(self, noted: Noted, now: datetime) -> None:
        """Record it now, or count it towards the next record of its kind."""
        key = self.fold_of(noted)
        with self._lock:
            if key not in self._folds and len(self._folds) >= MOST_APART:
                key = ("many addresses", key[1], "")
            fold = self._folds.get(key)
            if fold is not None:
                fold.latest = noted
                fold.count += 1
                return
            self._folds[key] = _Folded(noted, now)
        self._write(noted, 1, now)

    def flush(self, now: datetime, *, everything: bool = False) -> None:
        """Write the counts whose window has passed, or all of them."""
        with self._lock:
            # One from as far ahead was begun by a wrong clock, which may be right again only in years.
            due = {
                key: fold
                for key, fold in self._folds.items()
                if everything or abs(now - fold.since) >= WINDOW
            }
            for key in due:
                del self._folds[key]
        for fold in due.values():
            if fold.count:
                self._write(fold.latest, fold.count, now)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing that a flush could write."""
        return not self._folds

    def _write(self, noted: Noted, count: int, now: datetime) -> None:
        try:
            certificate = None
            if fingerprint := self.certificate_of(noted):
                ours = Certificate.objects.select_related("device")
                certificate = ours.filter(fingerprint=fingerprint).first()
            with writing():
                audit.record(
                    self.kind,
                    self.actor_of(noted),
                    now,
                    device=certificate.device if certificate else self.device_of(noted),
                    certificate=certificate,
                    count=count,
                    level=logging.WARNING,
                    **self.detail_of(noted),
                )
        except (Error, OSError) as error:  # also that the file lock cannot be had
            # What was refused stays refused; only the record of it is lost, and that must be seen.
            COMPLAINTS.say(log, f"An event could not be recorded ({self.kind})", reason(error))
