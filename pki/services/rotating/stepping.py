"""What campaigns do by themselves, each minute: in chunks, each a transaction of its own.

A step may be killed anywhere, or be called by every node at once: what a chunk has done is done, and the next
step goes on from there. A deed of an administrator comes between two chunks, and the next one heeds it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from pki.models import Campaign
from pki.services.audit import HATCHERY
from pki.services.rotating import (
    asking,
    ending,
    gathering,
    judging,
    pace,
    progress,
    returning,
    turns,
    watching,
)
from pki.services.transactions import alone, writing

State = Campaign.State
_ASKING = (State.CANARY, State.OPEN)
_HALTED = (State.PAUSED, State.STOPPED)
_LIVING = (*_ASKING, *_HALTED, State.ROLLING_BACK)
# Seconds after which a step leaves the rest to the next one.
PATIENCE = 30.0

Chunk = Callable[[Campaign], bool]


def step(now: datetime, patience: float = PATIENCE) -> int:
    """Do what is due in all campaigns, and say in how many; with `patience` seconds to begin another chunk.

    Several nodes may call it at once: one of them does it, and the others do not wait.
    """
    if not _due():
        return 0
    with alone("campaigns") as free:
        if not free:
            return 0
        deadline = time.monotonic() + patience
        due = _due()
        for number in due:
            _Step(number, now, deadline).run()
        return len(due)


def _due() -> list[int]:
    """Campaigns that go on, or have ended and not let all of their members go."""
    going_on = Campaign.objects.exclude(state__in=(State.DRAFT, *Campaign.ENDED))
    let_go = Campaign.objects.filter(state__in=Campaign.ENDED, gathered_up_to__isnull=False)
    return sorted((*going_on.values_list("pk", flat=True), *let_go.values_list("pk", flat=True)))


class _Step:
    """One step of one campaign."""

    def __init__(self, number: int, now: datetime, deadline: float) -> None:
        self._number = number
        self._now = now
        self._deadline = deadline

    def run(self) -> None:
        state = Campaign.objects.values_list("state", flat=True).get(pk=self._number)
        if state not in Campaign.ENDED and self._is_believed():
            self._go_on(state)
        self._each(Campaign.ENDED, lambda held: ending.let_go(held, self._now))

    def _is_believed(self) -> bool:
        with self._held(_LIVING) as held:
            return held is not None and watching.believes(held, self._now)

    def _go_on(self, state: str) -> None:
        self._note_renewed()
        if state in _ASKING:
            self._lead()
        elif state in _HALTED:
            self._each(_HALTED, lambda held: asking.take_back(held, self._now))
        else:
            self._each((State.ROLLING_BACK,), lambda held: returning.turn_round(held, self._now))
        self._once(_LIVING, self._look)

    def _lead(self) -> None:
        gathered = self._each(_ASKING, lambda held: gathering.gather(held, self._now))
        self._each(_ASKING, asking.try_again)
        self._once(_ASKING, self._judge)
        self._once((State.OPEN,), self._advance)
        asked = self._each(_ASKING, lambda held: asking.ask(held, self._now))
        if gathered and asked:
            self._once((State.CANARY,), self._watch_canaries)

    def _note_renewed(self) -> None:
        since: datetime | None = None
        while True:
            with self._held(_LIVING) as held:
                since = watching.note_renewed(held, since, self._now) if held else None
            if since is None:
                return

    def _judge(self, held: Campaign) -> None:
        if why := judging.trouble(held, self._now):
            turns.stop(held, self._now, why)
        elif held.state == State.CANARY and judging.canaries_did_well(held, self._now):
            turns.open_up(held, HATCHERY, self._now)

    def _advance(self, held: Campaign) -> None:
        held.position = pace.next_position(held, self._now)
        held.stepped_at = self._now
        held.save(update_fields=["position", "stepped_at"])

    def _watch_canaries(self, held: Campaign) -> None:
        if held.canaries_asked_at is None:
            held.canaries_asked_at = self._now
            held.save(update_fields=["canaries_asked_at"])

    def _look(self, held: Campaign) -> None:
        """See what has become of members, and end the campaign if it waits for nobody any more."""
        held.stepped_at = self._now
        watching.sweep(held, self._now)
        if held.state in _HALTED or held.gathered_up_to is not None or watching.waits(held):
            return
        if held.state == State.ROLLING_BACK:
            turns.end(held, State.ROLLED_BACK, HATCHERY, self._now)
        elif held.state == State.OPEN:
            turns.end(held, State.FINISHED, HATCHERY, self._now, _must_enroll(held))
        elif judging.canary_has_moved(held):
            return  # it opens when they were watched long enough
        elif progress.counts(held)["moved"]:
            # All had moved before, and nobody is left to be a canary: the profiles are to follow.
            turns.open_up(held, HATCHERY, self._now)
        else:
            why = f"No device was found that it could move. {_must_enroll(held)}".rstrip()
            turns.end(held, State.FINISHED, HATCHERY, self._now, why)

    def _once(self, states: tuple[State, ...], deed: Callable[[Campaign], None]) -> None:
        with self._held(states) as held:
            if held is not None:
                deed(held)

    def _each(self, states: tuple[State, ...], chunk: Chunk) -> bool:
        """Do one chunk, and more while there are any and there is time; whether all were done."""
        while True:
            with self._held(states) as held:
                if held is None:
                    return False
                if not chunk(held):
                    return True
            if time.monotonic() >= self._deadline:
                return False

    @contextmanager
    def _held(self, states: tuple[State, ...]) -> Iterator[Campaign | None]:
        """The campaign as it is now, if it is in one of these states; nobody changes it in the meantime."""
        with writing():
            rows = Campaign.objects.select_for_update(no_key=True).filter(pk=self._number)
            yield rows.filter(state__in=states).first()


def _must_enroll(held: Campaign) -> str:
    number = progress.counts(held)["unable"]
    if not number:
        return ""
    return f"{number:,} device{'s' if number > 1 else ''} cannot renew, and must enroll again."
