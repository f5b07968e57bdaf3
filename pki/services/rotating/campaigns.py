"""Leading a campaign: what an administrator does with it, and what is done each minute.

| deed        | in these states                         | leads to                       |
|-------------|-----------------------------------------|--------------------------------|
| start       | draft                                   | canary, or open without one    |
| open_to_all | canary                                  | open                           |
| pause       | canary, open                            | paused                         |
| go_on       | paused, stopped                         | what it was before             |
| roll_back   | canary, open, paused, stopped           | rolling back, then rolled back |
| finish      | open, paused, stopped                   | finished                       |
| finish      | rolling back                            | rolled back                    |
| cancel      | draft, canary, open, paused, stopped    | cancelled                      |
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from pki.core.errors import Refusal
from pki.models import Campaign
from pki.services.audit import Actor
from pki.services.issuing.dependence import why_unable
from pki.services.rotating import drafting, pace, progress, switching, turns
from pki.services.rotating.drafting import Plan, draft
from pki.services.rotating.stepping import step
from pki.services.transactions import writing

__all__ = [
    "Plan",
    "can",
    "cancel",
    "draft",
    "finish",
    "go_on",
    "open_to_all",
    "pause",
    "roll_back",
    "start",
    "step",
]

State = Campaign.State

# Deed → the states in which it can be done.
ALLOWED: dict[str, frozenset[str]] = {
    "start": frozenset({State.DRAFT}),
    "open_to_all": frozenset({State.CANARY}),
    "pause": frozenset({State.CANARY, State.OPEN}),
    "go_on": frozenset({State.PAUSED, State.STOPPED}),
    "roll_back": frozenset({State.CANARY, State.OPEN, State.PAUSED, State.STOPPED}),
    "finish": frozenset({State.OPEN, State.PAUSED, State.STOPPED, State.ROLLING_BACK}),
    "cancel": frozenset({State.DRAFT, State.CANARY, State.OPEN, State.PAUSED, State.STOPPED}),
}
# Said when it cannot be done.
_WHEN = {
    "start": "only a draft can be started.",
    "open_to_all": "only one that is watching its canaries can be opened to all.",
    "pause": "only one that asks devices can be paused.",
    "go_on": "only one that was paused, or has stopped, can go on.",
    "roll_back": "only one that has begun and not ended can be rolled back; make a campaign the other way.",
    "finish": "only one that was opened to all, or is rolling back, can be finished.",
    "cancel": "only one that has not ended, and is not rolling back, can be cancelled.",
}


class WrongState(Refusal):
    """A campaign in this state cannot do that."""

    code = "campaign_state"


class RollBackImpossible(Refusal):
    """Keys do not come back, or the issuer of before cannot sign any more."""

    code = "roll_back_impossible"


def can(campaign: Campaign, deed: str) -> bool:
    """Whether a deed of ALLOWED can be done now, by the campaign's state and kind."""
    if deed == "roll_back" and campaign.kind == Campaign.Kind.KEY:
        return False
    return campaign.state in ALLOWED[deed]


def start(campaign: Campaign, actor: Actor, now: datetime) -> None:
    """Begin. The next steps gather the devices and ask the canaries. Raises WrongState or TargetUnfit."""
    with _held(campaign, "start") as held:
        _require_fit_target(held, now)
        held.state, held.started_at, held.stepped_at = State.CANARY, now, now
        held.gathered_up_to = held.position = 0
        held.save()
        turns.record(held, "started", actor, now)
        if not held.canary_percent:
            turns.open_up(held, actor, now)


def open_to_all(campaign: Campaign, actor: Actor, now: datetime) -> None:
    """Ask all, spread over the window, however the canaries do. Raises WrongState or TargetUnfit."""
    with _held(campaign, "open_to_all") as held:
        _require_fit_target(held, now)
        turns.open_up(held, actor, now)


def pause(campaign: Campaign, actor: Actor, now: datetime) -> None:
    """Ask nobody any more; the next steps take it back from who has not moved. Raises WrongState."""
    with _held(campaign, "pause") as held:
        turns.halt(held, State.PAUSED, now)
        turns.record(held, "paused", actor, now)


def go_on(campaign: Campaign, actor: Actor, now: datetime) -> None:
    """Go on after a pause or a stop with what is left of the window; who failed is asked again.

    Raises WrongState or TargetUnfit.
    """
    with _held(campaign, "go_on") as held:
        _require_fit_target(held, now)
        held.state, held.resume_state = State(held.resume_state), ""
        held.paused_at, held.resumed_at, held.reason = None, now, ""
        held.canaries_asked_at = None  # they are watched anew
        pace.move_on(held, now)
        held.save()
        turns.record(held, "resumed", actor, now)


def roll_back(campaign: Campaign, actor: Actor, now: datetime) -> None:
    """Ask who has moved to come back, and give profiles back. Raises WrongState or RollBackImpossible."""
    with _held(campaign, "roll_back") as held:
        _require_way_back(held, now)
        meanwhile = progress.came_meanwhile(held, now) or None
        held.state, held.resume_state, held.paused_at = State.ROLLING_BACK, "", None
        held.gathered_up_to = held.swept_up_to = 0
        switching.switch_back(held, actor, now)
        held.save()
        turns.record(held, "rolling_back", actor, now, logging.WARNING, not_led=meanwhile)


def finish(campaign: Campaign, actor: Actor, now: datetime) -> None:
    """End a campaign that waits for devices that do not come: some are named on record, and all of them are
    asked still, whenever they come. Raises WrongState.
    """
    with _held(campaign, "finish") as held:
        ended = State.ROLLED_BACK if held.state == State.ROLLING_BACK else State.FINISHED
        turns.end(held, ended, actor, now)


def cancel(campaign: Campaign, actor: Actor, now: datetime) -> None:
    """End it: nobody is asked any more, profiles go back, and who has moved stays. Raises WrongState."""
    with _held(campaign, "cancel") as held:
        switching.switch_back(held, actor, now)
        turns.end(held, State.CANCELLED, actor, now)


def _require_fit_target(held: Campaign, now: datetime) -> None:
    if held.to_issuer is not None:
        drafting.require_fit_target(held.to_issuer, now)


def _require_way_back(held: Campaign, now: datetime) -> None:
    if held.kind == Campaign.Kind.KEY:
        raise RollBackImpossible(
            "A key that was replaced does not come back: its certificate is superseded. Pause this campaign, "
            "or cancel it; devices that have new keys keep them."
        )
    old = held.from_issuer
    if old is not None and (why := why_unable(old, now)):
        raise RollBackImpossible(f"{old} is {why} and signs no more; make another issuer to move to.")


@contextmanager
def _held(campaign: Campaign, deed: str) -> Iterator[Campaign]:
    """The campaign as it is now, if the deed can be done; nobody changes it in the meantime."""
    with writing():
        held = Campaign.objects.select_for_update(no_key=True).get(pk=campaign.pk)
        if held.state not in ALLOWED[deed]:
            raise WrongState(f"The campaign {held} is {held.state}; {_WHEN[deed]}")
        yield held
    campaign.refresh_from_db()
