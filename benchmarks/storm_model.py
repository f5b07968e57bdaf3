"""A fleet that renews itself at a Hatchery, as arrays: a million devices, step by step.

Values alone: no server, no clock; the windows are those of `pki.core.renewals`, and the agents behave as
`examples/agent/hatchery-agent` does. All moments are seconds since the simulation began. Needs numpy.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from pki.core import renewals
from pki.core.certificates import BACKDATED

HOUR, DAY = 3600, 86_400
PATIENCE = 60  # seconds until the agent's curl gives up
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_POLL, _RENEW = 0, 1
_NEVER = np.iinfo(np.int32).max


@dataclass(frozen=True)
class Costs:
    """CPU seconds of the server's processes, each on a new connection (`python -m benchmarks.operations`)."""

    renewal: float
    renewal_info: float
    secure: float
    bundle: float
    refusal: float  # a handshake for nothing


@dataclass(frozen=True)
class Plan:
    """One simulation."""

    devices: int
    life: int  # seconds
    days: float
    cores: float  # that serve devices; the database's and the system's share is not in it
    costs: Costs
    enrolled_within: int | None  # seconds; none: a fleet that has renewed for long
    outage_from: float = 0  # hours
    outage: float = 0  # hours
    ask_again: int | None = None  # seconds between polls; none: as pki.core.renewals says
    coarse: int = 1  # times as long steps: quicker, for a first look
    ticks: tuple[int, int] = (300, 600)  # least and most seconds between two turns of an agent's timer
    seed: int = 1

    @property
    def step(self) -> int:
        """Seconds that are looked at together."""
        return max(self.life // 8640, 5) * self.coarse

    @property
    def bin(self) -> int:
        """Seconds over which rates are taken: a minute of a day's life."""
        return self.step * max(60 // self.step, 6)


@dataclass
class Story:
    """What came of it. Rates are means over `bin` seconds."""

    plan: Plan
    asks_again: int  # seconds between two polls of a device, on average
    renewals: list[float] = field(default_factory=list)  # a second
    polls: list[float] = field(default_factory=list)
    refusals: list[float] = field(default_factory=list)  # of the overloaded server, not of one that is off
    busy: list[float] = field(default_factory=list)  # cores
    overdue: list[int] = field(default_factory=list)  # devices a tick and more behind the moment they chose
    expired: int = 0  # devices that passed the end of their certificate
    least_left: float = float("inf")  # the shortest remaining life at a renewal, seconds
    backlog: int = 0  # devices that had to renew when the outage ended
    worked_off: float = 0.0  # hours from the end of the outage until no device was overdue

    def after_the_start(self, what: list[float]) -> np.ndarray:
        """Without the first half life, in which a fleet that was enrolled at once has nothing to renew."""
        return np.array(what[int(self.plan.life / 2 / self.plan.bin) :])


class Windows:
    """`pki.core.renewals.hint` for arrays, made from what it says for one life."""

    def __init__(self, life: int) -> None:
        self.life = life
        first, last = self._hint("0" * 64), self._hint("f" * 64)
        self.first, self.length = first[0], first[1] - first[0]
        self.span = last[0] - first[0]
        self.soonest, self.latest = first[2], last[2]
        for each in np.random.default_rng(1).integers(0, 16, (200, 13)):
            place = "".join(f"{digit:x}" for digit in each)
            part = int(place, 16) / 16**13
            start, again = self.first + self.span * part, first[2] + (last[2] - first[2]) * part
            told = self._hint(place.ljust(64, "0"))[0], self._hint(f"{'0' * 13}{place}".ljust(64, "0"))[2]
            if abs(told[0] - start) > 2 or abs(told[1] - again) > 2:
                raise RuntimeError("the windows of pki.core.renewals do not lie as the simulation takes them")

    def _hint(self, fingerprint: str) -> tuple[float, float, int]:
        # As certificates.validity makes it.
        until = _EPOCH + timedelta(seconds=self.life - 1)
        told = renewals.hint(_EPOCH - BACKDATED, until, fingerprint, asked=False)
        window = told.window
        return (
            (window.start - _EPOCH).total_seconds(),
            (window.end - _EPOCH).total_seconds(),
            told.ask_again_in,
        )

    def ask_again(self, number: int, chance: np.random.Generator) -> np.ndarray:
        """The seconds after which each of so many certificates has its device ask again."""
        return self.soonest + (self.latest - self.soonest) * chance.random(number)

    def choose(self, issued: np.ndarray, chance: np.random.Generator) -> np.ndarray:
        """The moment that each device chooses in the window that its fingerprint gives it."""
        place, choice = chance.random(issued.size), chance.random(issued.size)
        return issued + self.first + self.span * place + self.length * choice


class Fleet:
    """The devices, and when each does what next."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.chance = np.random.default_rng(plan.seed)
        self.windows = Windows(plan.life)
        number = plan.devices
        self.ask_again = self._ask_again(number)
        if plan.enrolled_within is None:
            renewed_at = self.windows.choose(np.zeros(number), self.chance)
            self.issued = -self.chance.random(number) * renewed_at
            self.chosen = self.issued + renewed_at
        else:
            self.issued = self.chance.random(number) * plan.enrolled_within
            self.chosen = self.windows.choose(self.issued, self.chance)
        self.ends = self.issued + plan.life - 1
        self.failures = np.zeros(number, np.int16)
        self.kind = np.zeros(number, np.int8)
        self.new = np.zeros(number, bool)  # the first poll of a certificate fetches the bundle as well
        asked = np.maximum(self.issued, 0)
        if plan.enrolled_within is None:  # somewhere between two polls
            asked = asked + self.chance.random(number) * self.ask_again
        self.next = np.full(number, _NEVER, np.int32)
        self._plan_next(np.arange(number), asked)

    def due(self, step: int) -> np.ndarray:
        """Whose timer turns now and finds something to do, in the order in which they come."""
        who = np.nonzero(self.next == step)[0]
        self.chance.shuffle(who)
        self.kind[who[self.chosen[who] <= step * self.plan.step]] = _RENEW
        return who

    def renewed(self, who: np.ndarray, now: float) -> None:
        self.issued[who] = now
        self.ends[who] = now + self.plan.life - 1
        self.chosen[who] = self.windows.choose(self.issued[who], self.chance)
        self.ask_again[who] = self._ask_again(who.size)
        self.failures[who] = 0
        self.new[who] = True
        self._plan_next(who, np.full(who.size, now))

    def asked(self, who: np.ndarray, now: float) -> None:
        self.failures[who] = 0
        self.new[who] = False
        self._plan_next(who, now + self.ask_again[who])

    def put_off(self, who: np.ndarray, now: float) -> None:
        """Refused, or nobody there: who renews waits longer than the time before, who polls as long as ever,
        and none as long as another.
        """
        self.failures[who] += 1
        renewing = self.kind[who] == _RENEW
        longest = np.clip((self.ends[who] - now) / 8, 300, 3600)
        longer = np.minimum(60.0 * 2.0 ** np.minimum(self.failures[who] - 1, 10), longest)
        seconds = np.where(renewing, longer, np.minimum(self.ask_again[who], 3600) / 2)
        again = now + seconds * (1 + self.chance.random(who.size))
        self._plan_next(who[~renewing], again[~renewing])
        self._set(who[renewing], again[renewing], _RENEW)

    def _ask_again(self, number: int) -> np.ndarray:
        if self.plan.ask_again is not None:
            return np.full(number, float(self.plan.ask_again))
        return self.windows.ask_again(number, self.chance)

    def gone(self, who: np.ndarray) -> None:
        self.next[who] = _NEVER

    def _plan_next(self, who: np.ndarray, ask_at: np.ndarray) -> None:
        """At the first tick of the timer after one of the two: the moment that was chosen, or that to ask."""
        renewing = self.chosen[who] <= ask_at
        self._set(who, np.where(renewing, self.chosen[who], ask_at), np.where(renewing, _RENEW, _POLL))

    def _set(self, who: np.ndarray, at: np.ndarray, kind: np.ndarray | int) -> None:
        # What is left of an interval between two ticks at a moment that knows nothing of them.
        shortest, longest = self.plan.ticks
        interval = np.sqrt(self.chance.random(who.size) * (longest**2 - shortest**2) + shortest**2)
        at = at + interval * self.chance.random(who.size)
        self.next[who] = np.floor(at / self.plan.step).astype(np.int32) + 1
        self.kind[who] = kind


def simulate(plan: Plan) -> Story:
    """Let the fleet live."""
    fleet = Fleet(plan)
    story = Story(plan, round(fleet.ask_again.mean()))
    costs = plan.costs
    off_from, off_until = plan.outage_from * HOUR, (plan.outage_from + plan.outage) * HOUR
    per_step, queued = plan.cores * plan.step, 0.0
    steps, per_bin = int(plan.days * DAY / plan.step), plan.bin // plan.step
    counted = np.zeros(4)  # renewals, polls, refusals, CPU seconds
    was_off = False
    for step in range(steps):
        now = float(step * plan.step)
        off = off_from <= now < off_until
        who = fleet.due(step)
        if was_off and not off:
            story.backlog = int(np.count_nonzero(fleet.chosen <= now))
        was_off = off
        if who.size and off:
            fleet.put_off(who, now)
        elif who.size:
            renewing = fleet.kind[who] == _RENEW
            spent = np.where(
                renewing,
                costs.renewal + costs.secure,
                costs.renewal_info + np.where(fleet.new[who], costs.bundle, 0),
            )
            # Whoever would wait longer than curl does is refused, and its handshake was for nothing.
            room = plan.cores * PATIENCE - queued
            served = np.cumsum(spent) <= room
            refused = who[~served]
            done, renewing = who[served], renewing[served]
            queued += spent[served].sum() + min(refused.size * costs.refusal, per_step)
            _renew(fleet, story, done[renewing], now)
            fleet.asked(done[~renewing], now)
            fleet.put_off(refused, now)
            counted[:3] += renewing.sum(), done.size - renewing.sum(), refused.size
        counted[3] += min(queued, per_step)
        queued = max(0.0, queued - per_step)
        if (step + 1) % per_bin == 0:
            _note(fleet, story, now, counted)
            counted[:] = 0
    story.expired += int(np.count_nonzero((fleet.ends < now) & (fleet.next != _NEVER)))
    if plan.outage:
        story.worked_off = _worked_off(story, off_until)
    return story


def _renew(fleet: Fleet, story: Story, who: np.ndarray, now: float) -> None:
    left = fleet.ends[who] - now
    late = left < 0
    if late.any():  # their certificates are good for nothing; a person has to enroll them again
        story.expired += int(late.sum())
        fleet.gone(who[late])
        who, left = who[~late], left[~late]
    if who.size:
        story.least_left = min(story.least_left, float(left.min()))
        fleet.renewed(who, now)


def _note(fleet: Fleet, story: Story, now: float, counted: np.ndarray) -> None:
    for rates, number in zip((story.renewals, story.polls, story.refusals, story.busy), counted, strict=True):
        rates.append(float(number) / story.plan.bin)
    behind = now - 2 * fleet.plan.ticks[1]
    story.overdue.append(int(np.count_nonzero((fleet.chosen < behind) & (fleet.next != _NEVER))))


def _worked_off(story: Story, off_until: float) -> float:
    first = int(off_until / story.plan.bin)
    for number, overdue in enumerate(story.overdue[first:]):
        # One in ten thousand: there is always one whose timer was late.
        if overdue <= story.plan.devices / 10_000:
            return number * story.plan.bin / HOUR
    return float("inf")
