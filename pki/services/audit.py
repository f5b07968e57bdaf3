"""Recording what happened: in the audit trail, and on one log line once it is committed."""

import getpass
import json
import logging
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from pki.models import AuditEvent, Certificate, Device

log = logging.getLogger("hatchery.audit")

_LONGEST_ACTOR = 160


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
    detail = {key: value for key, value in detail.items() if value not in (None, [], "")}
    event = AuditEvent.objects.create(
        at=now,
        kind=kind,
        actor=actor.name[:_LONGEST_ACTOR],
        address=actor.address,
        device=device,
        certificate=certificate,
        count=count,
        detail=detail,
    )
    line = {
        "actor": event.actor,
        "address": event.address,
        "device": device.name if device else None,
        "serial": certificate.serial if certificate else None,
        "count": count if count > 1 else None,
        **detail,
    }
    # JSON escapes line breaks: whatever a client put into a name, it stays on this line.
    words = json.dumps({key: value for key, value in line.items() if value is not None})
    transaction.on_commit(partial(log.log, level, "%s %s", kind, words))
    return event
