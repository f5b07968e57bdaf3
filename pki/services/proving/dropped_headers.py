"""Forwarded certificates from who has no right to forward any: dropped, and counted."""

import logging
from dataclasses import dataclass
from datetime import datetime

from django.db import DatabaseError

from pki.services import audit
from pki.services.audit import Actor
from pki.services.enrolling.refusals import network
from pki.services.proving.folding import Fold, FoldedLog
from pki.services.transactions import writing

log = logging.getLogger("hatchery.proxy")


@dataclass(frozen=True)
class DroppedHeaders:
    """The forwarded certificates of one request, unread."""

    listener: str
    address: str | None  # of the connection, whatever the request says
    reason: str  # stable: not_asked, proxy_unknown, other_form
    explanation: str
    headers: tuple[str, ...]  # their names


class DroppedLog(FoldedLog[DroppedHeaders]):
    """Writes dropped headers to the audit trail. One object a process; threads may share it."""

    def fold_of(self, noted: DroppedHeaders) -> Fold:
        return (network(noted.address), noted.reason, noted.listener)

    def write(self, noted: DroppedHeaders, count: int, now: datetime) -> None:
        try:
            with writing():
                audit.record(
                    "forwarded_certificate.dropped",
                    Actor.anonymous(noted.address),
                    now,
                    count=count,
                    level=logging.WARNING,
                    listener=noted.listener,
                    reason=noted.reason,
                    explanation=noted.explanation,
                    headers=list(noted.headers),
                )
        except DatabaseError:
            # They were dropped; only the record of it is lost, and that must be seen.
            log.exception("A dropped header could not be recorded: %s from %s", noted.reason, noted.address)


# This process's dropped headers; the worker flushes them.
DROPPED = DroppedLog()
