"""The turns a campaign takes, by a person or by itself: each on a row that is held, with its event."""

import logging
from datetime import datetime
from typing import Any

from pki.models import Campaign
from pki.services import audit
from pki.services.audit import HATCHERY, Actor
from pki.services.rotating import pace, progress, switching

State = Campaign.State
# Laggards that an event names.
NAMED = 10


def record(
    held: Campaign, kind: str, actor: Actor, now: datetime, level: int = logging.INFO, **detail: Any
) -> None:
    """An event of a campaign, with the numbers of its devices in each state that there are."""
    numbers: dict[str, Any] = {state: number for state, number in progress.counts(held).items() if number}
    about: dict[str, Any] = {"campaign": held.name, "number": held.pk, **numbers, **detail}
    audit.record(f"campaign.{kind}", actor, now, level=level, **about)


def open_up(held: Campaign, actor: Actor, now: datetime, **detail: Any) -> None:
    """Ask all from now on, over the window."""
    held.state = State.OPEN
    held.opened_at = held.window_from = held.stepped_at = now
    switching.switch(held, actor, now)
    if held.switched_profiles:
        # Once more: until now, new devices came under the old issuer.
        held.gathered_up_to, held.elsewhere = 0, 0
    held.save()
    record(held, "opened", actor, now, profiles=len(held.switched_profiles) or None, **detail)


def halt(held: Campaign, state: State, now: datetime, reason: str = "") -> None:
    """Ask nobody any more, until somebody lets it go on; PAUSED or STOPPED."""
    held.resume_state, held.state = held.state, state
    held.paused_at, held.reason = now, reason[:500]
    if held.resume_state == State.OPEN:
        pace.stand_still(held)
    held.save()


def stop(held: Campaign, now: datetime, reason: str) -> None:
    """The same, because it goes wrong."""
    halt(held, State.STOPPED, now, reason)
    record(held, "stopped", HATCHERY, now, logging.WARNING, reason=reason)


def end(held: Campaign, state: State, actor: Actor, now: datetime, reason: str = "") -> None:
    """End it, with those named who are behind; its members are let go by the next steps."""
    behind = [member.device.name for member in progress.laggards(held, NAMED)]
    if held.state != State.DRAFT:
        held.gathered_up_to = 0
    held.state, held.ended_at, held.reason = state, now, reason[:500] or held.reason
    held.save()
    kind = {State.CANCELLED: "cancelled", State.FINISHED: "finished"}.get(state, "rolled_back")
    level = logging.WARNING if behind and state != State.CANCELLED else logging.INFO
    record(held, kind, actor, now, level, laggards=behind, reason=reason)
