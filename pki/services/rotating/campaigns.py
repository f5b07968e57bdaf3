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

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from pki.core.errors import Refusal
from pki.models import Campaign
from pki.services.audit import Actor
from pki.services.rotating.drafting import Plan, draft
from pki.services.transactions import writing

__all__ = ["Plan", "draft"]

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
    """Begin. The devices are gathered by the next steps. Raises WrongState or TargetUnfit."""
    with _held(campaign, "start"):
        pass


def pause(campaign: Campaign, actor: Actor, now: datetime) -> None:
    """Ask nobody any more; those who were asked and have not moved stay as they were. Raises WrongState."""
    with _held(campaign, "pause"):
        pass


def go_on(campaign: Campaign, actor: Actor, now: datetime) -> None:
    """Go on after a pause or a stop; who failed is asked again. Raises WrongState or TargetUnfit."""
    with _held(campaign, "go_on"):
        pass


def open_to_all(campaign: Campaign, actor: Actor, now: datetime) -> None:
    """Ask all, spread over the window, however the canaries do. Raises WrongState."""
    with _held(campaign, "open_to_all"):
        pass


def roll_back(campaign: Campaign, actor: Actor, now: datetime) -> None:
    """Ask who has moved to move back. Raises WrongState or RollBackImpossible."""
    with _held(campaign, "roll_back"):
        pass


def finish(campaign: Campaign, actor: Actor, now: datetime) -> None:
    """End a campaign that waits for devices that do not come; they are named on record. Raises WrongState."""
    with _held(campaign, "finish"):
        pass


def cancel(campaign: Campaign, actor: Actor, now: datetime) -> None:
    """End it: nobody is asked any more, and who has moved stays so. Raises WrongState."""
    with _held(campaign, "cancel"):
        pass


def step(now: datetime) -> None:
    """Do what is due in all campaigns; a word from each of many nodes, each minute, is enough."""


@contextmanager
def _held(campaign: Campaign, deed: str) -> Iterator[Campaign]:
    with writing():
        held = Campaign.objects.select_for_update().get(pk=campaign.pk)
        if held.state not in ALLOWED[deed]:
            raise WrongState(f"{held} is {held.get_state_display()}; that cannot be done now.")
        yield held
    campaign.refresh_from_db()
