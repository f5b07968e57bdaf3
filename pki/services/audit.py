"""Recording what happened: in the audit trail, and on one log line once it is committed."""

import getpass
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from pki.models import AuditEvent, Certificate, Device
from pki.services.measuring import counted
from pki.services.prepared import insert

log = logging.getLogger("hatchery.audit")

_LONGEST_ACTOR = 160
_BATCH = 1_000  # rows of one INSERT


@dataclass(frozen=True)
class Actor:
    """Who does something, and from where."""

    name: str  # administrator:ada, device:door-1, shell:root, anonymous, hatchery
    address: str | None = None
    user: User | None = None

    @classmethod
    def administrator(cls, user: User, address: str | None) -> "Actor":
        return cls(f"administrator:{user.get_username()}", address, user)

    @classmethod
    def anonymous(cls, address: str | None) -> "Actor":
        return cls("anonymous", address)

    @classmethod
    def shell(cls) -> "Actor":
        try:
            return cls(f"shell:{getpass.getuser()}")
        except (KeyError, OSError):  # a user id without a name, as in some containers
            return cls("shell")


HATCHERY = Actor("hatchery")


def record(
    kind: str,
    actor: Actor,
    now: datetime,
    *,
    device: Device | None = None,
    certificate: Certificate | None = None,
    count: int = 1,
    level: int = logging.INFO,
    **detail: Any,
) -> AuditEvent:
    """Add an event to the audit trail, inside the caller's transaction."""
    event = _event(kind, actor, now, device, certificate, count, detail)
    insert(event)
    transaction.on_commit(partial(_write_line, event, level))
    return event


def record_each(
    kind: str,
    actor: Actor,
    now: datetime,
    entries: Iterable[tuple[Device | Certificate, dict[str, Any]]],
    *,
    level: int = logging.INFO,
) -> None:
    """Add an event for each of many devices or certificates, with its own detail, inside the caller's
    transaction. An event of a certificate is one of its device too: have it at hand (`select_related`).
    """
    events = [
        _event(kind, actor, now, about.device, about, 1, detail)
        if isinstance(about, Certificate)
        else _event(kind, actor, now, about, None, 1, detail)
        for about, detail in entries
    ]
    AuditEvent.objects.bulk_create(events, batch_size=_BATCH)

    def write_lines() -> None:
        for event in events:
            _write_line(event, level)

    transaction.on_commit(write_lines)


def _event(
    kind: str,
    actor: Actor,
    now: datetime,
    device: Device | None,
    certificate: Certificate | None,
    count: int,
    detail: dict[str, Any],
) -> AuditEvent:
    return AuditEvent(
        at=now,
        kind=kind,
        actor=actor.name[:_LONGEST_ACTOR],
        address=actor.address,
        device=device,
        certificate=certificate,
        count=count,
        detail={key: value for key, value in detail.items() if value not in (None, [], "")},
    )


def _write_line(event: AuditEvent, level: int) -> None:
    counted.EVENTS.count(event.kind, by=event.count)
    said = {
        "actor": event.actor,
        "address": event.address,
        "device": event.device.name if event.device else None,
        "serial": event.certificate.serial if event.certificate else None,
        "count": event.count if event.count > 1 else None,
        **event.detail,
    }
    write_line(event.kind, {key: value for key, value in said.items() if value is not None}, level)


def write_line(kind: str, said: dict[str, Any], level: int = logging.INFO) -> None:
    """Log what the audit trail got; in a log of JSON, `said` stands in its line as it is."""
    # JSON escapes line breaks: whatever a client put into a name, it stays on this line.
    words = json.dumps(said)
    log.log(level, "%s %s", kind, words, extra={"fields": {"message": kind, "kind": kind, "event": said}})
