"""`python -m benchmarks.faults [--kills N] [--seed S] [--only sqlite|postgresql]`: kill -9 under load.

Kills workers, masters and, of PostgreSQL, backends and the postmaster, at random moments, while devices
enroll. What has ended is started again as a service manager would, and nothing else is done. In the end what
the devices hold is compared with the database. Prints the counts; ends with 1 if anything is not as it must
be.
"""

import argparse
import random
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.faults import trial
from benchmarks.faults.trial import Outcome
from tests import postgres
from tests.clients import which
from tests.postgres import Cluster

_DATABASES = ("sqlite", "postgresql")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="on each database (100)")
    parser.add_argument("--seed", type=int, help="of an earlier run, to have the dice fall the same")
    parser.add_argument("--clients", type=int, default=4, help="that enroll at once (4)")
    parser.add_argument(
        "--restart-after", type=float, default=5.0, help="seconds, as RestartSec= of the systemd units (5)"
    )
    parser.add_argument("--only", choices=_DATABASES, help="on this database alone")
    options = parser.parse_args()
    if options.kills < 1 or options.clients < 1:
        parser.error("there must be at least one kill and one client")
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**9)
    faults = 0
    for database in _DATABASES if options.only is None else (options.only,):
        print(f"{database}, seed {seed}", flush=True)
        with tempfile.TemporaryDirectory(prefix="hatchery-faults-") as folder, _cluster(database) as cluster:
            kills = trial.kinds(cluster is not None, options.kills)
            outcome = trial.run(Path(folder), cluster, kills, seed, options.clients, options.restart_after)
        print(*report(outcome), sep="\n", flush=True)
        faults += len(outcome.faults)
    sys.exit(1 if faults else 0)


@contextmanager
def _cluster(database: str) -> Iterator[Cluster | None]:
    if database == "sqlite":
        yield None
        return
    initdb = which(postgres.PROGRAM)
    if initdb is None:
        sys.exit(f"PostgreSQL is not installed; on Debian: apt-get install {postgres.PACKAGE}")
    with postgres.cluster(initdb, durable=True) as running:
        yield running


def report(outcome: Outcome) -> Iterator[str]:
    """The lines of a trial."""
    told, found = outcome.told, outcome.evidence
    yield f"  {'killed':<20} {'times':>6} {'seconds without an answer, median':>36} {'longest':>8}"
    outages = outcome.outages()
    for kind, times in sorted(Counter(kind for kind, _ in outcome.kills).items()):
        took = outages[kind]
        yield f"  {kind:<20} {times:>6} {statistics.median(took):>36.2f} {max(took):>8.2f}"
    yield (
        f"  {len(outcome.kills)} kills, {outcome.restarts} starts by managers, "
        f"longest outage {outcome.longest_outage():.1f} s"
    )
    yield (
        f"  enrollments {len(told.held):,}, retries {told.retries:,} (after a 503 {told.refused:,}), "
        f"asked again with the answer in hand {told.asked_again:,}, failed for good {len(told.failures)}"
    )
    yield (
        f"  certificates held {len(told.held):,}, in the database {found.certificates:,}, "
        f"audited {found.audited:,}, tokens used {found.tokens_used:,}"
    )
    yield f"  audit: {found.proof}"
    yield f"  tracebacks in the log: {outcome.tracebacks}"
    for said, times in Counter(outcome.refusals).most_common():
        yield f"  a start said, {times} times: {said}"
    for fault in outcome.faults:
        yield f"  FAULT: {fault}"
    if not outcome.faults:
        yield "  Nothing is lost, and nothing is there twice."


if __name__ == "__main__":
    main()
