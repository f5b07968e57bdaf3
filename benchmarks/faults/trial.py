"""One trial: kills under load, on one database."""

import random
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from benchmarks.faults import evidence, victims
from benchmarks.faults.evidence import Evidence
from benchmarks.faults.load import Load, Told
from benchmarks.faults.managers import Database, Manager, Portal, end, until
from pki.keystore.files import temporaries
from tests.postgres import Cluster
from tests.server import Server

WORKERS = 2
_COMES_BACK_WITHIN = 120.0  # seconds, generous: how long it took is told
_HASTE = 0.2  # of the kills come before the server is back from the one before
_BREATH = 1.5  # seconds at most between two kills
_QUIET = 0.1  # seconds between two looks for somebody to kill


@dataclass
class Outcome:
    """What came of it."""

    kills: list[tuple[str, float]] = field(default_factory=list)  # what, when
    restarts: int = 0  # by managers
    told: Told = field(default_factory=Told)
    evidence: Evidence = field(default_factory=Evidence)
    refusals: list[str] = field(default_factory=list)  # what starts that failed have said
    tracebacks: int = 0
    faults: list[str] = field(default_factory=list)

    def outages(self) -> dict[str, list[float]]:
        """By what was killed: the longest time in seconds without an answer, until the next kill."""
        found: dict[str, list[float]] = defaultdict(list)
        ends = [at for _, at in self.kills[1:]] + [max(self._answered(), default=float("inf"))]
        for (kind, at), until_then in zip(self.kills, ends, strict=True):
            found[kind].append(self._longest(at, until_then))
        return found

    def longest_outage(self) -> float:
        """Seconds, through as many kills as it lasted."""
        answered = self._answered()
        return self._longest(answered[0], answered[-1])

    def _longest(self, since: float, until_then: float) -> float:
        between = [at for at in self._answered() if since < at < until_then]
        return max(later - earlier for earlier, later in pairwise([since, *between, until_then]))

    def _answered(self) -> list[float]:
        return sorted(answered for _, answered in self.told.served)


def kinds(on_postgresql: bool, times: int) -> list[str]:
    """What to kill, each as often as the others, if it comes out even."""
    those = [*victims.OURS, *(victims.OF_POSTGRESQL if on_postgresql else ())]
    return [those[number % len(those)] for number in range(times)]


def run(
    folder: Path, cluster: Cluster | None, kills: list[str], seed: int, clients: int, restart_after: float
) -> Outcome:
    """Kill each of these in any order; managers start again `restart_after` seconds later."""
    dice, outcome = random.Random(seed), Outcome()
    url = cluster.url if cluster else ""
    server = Server(folder / "var", {"DATABASE_URL": url, "WEB_CONCURRENCY": str(WORKERS)}).start()
    with _managed(server, cluster, restart_after) as (portal, managers):
        load = Load(server, clients, dice)
        try:
            _wait_for_service(load, server, time.monotonic(), outcome)
            _kill_each(dice.sample(kills, len(kills)), outcome, load, server, cluster, dice)
            _wait_for_service(load, server, time.monotonic(), outcome)
        finally:
            load.end()
        outcome.told = load.told
        outcome.evidence = evidence.gather(server, load.told)
    outcome.restarts = sum(manager.starts for manager in managers)
    _look_at_what_is_left(outcome, portal)
    return outcome


@contextmanager
def _managed(server: Server, cluster: Cluster | None, after: float) -> Iterator[tuple[Portal, list[Manager]]]:
    portal = Portal(server)
    managers = []
    with ExitStack() as stack:
        stack.callback(lambda: end(server.process))
        managers.append(Manager(portal, after))
        if cluster is not None:
            managers.append(Manager(Database(cluster), after))
        for manager in managers:
            stack.callback(manager.stop)
        yield portal, managers


def _kill_each(
    order: list[str],
    outcome: Outcome,
    load: Load,
    server: Server,
    cluster: Cluster | None,
    dice: random.Random,
) -> None:
    found = victims.finders(server, cluster, dice)
    for kind in order:
        time.sleep(dice.uniform(0, _BREATH))
        # Whom it is to strike may be dead from the last time.
        if not until(lambda kind=kind: _strikes(outcome, kind, found[kind]), _COMES_BACK_WITHIN):
            outcome.faults.append(f"There was nobody to kill: {kind}.")
        if dice.random() >= _HASTE:
            _wait_for_service(load, server, time.monotonic(), outcome)


def _strikes(outcome: Outcome, kind: str, found: victims.Victims) -> bool:
    at = time.monotonic()
    if not victims.kill(found()):
        time.sleep(_QUIET)
        return False
    outcome.kills.append((kind, at))
    return True


def _wait_for_service(load: Load, server: Server, since: float, outcome: Outcome) -> None:
    def is_back() -> bool:
        return load.told.has_served_since(since) and len(victims.workers(server)) == WORKERS

    if not until(is_back, _COMES_BACK_WITHIN):
        raise RuntimeError(f"it did not come back: {server.output()[-2000:]}")


def _look_at_what_is_left(outcome: Outcome, portal: Portal) -> None:
    outcome.faults += [f"Failed for good: {failure}" for failure in outcome.told.failures]
    outcome.faults += outcome.evidence.faults
    outcome.refusals = portal.refusals
    outcome.tracebacks = portal.said().count("Traceback (most recent call last)")
    data = portal.server.data
    for folder in (data, data / "keys", data / "secrets"):
        outcome.faults += [f"Left behind: {path.relative_to(data)}" for path in temporaries(folder)]
