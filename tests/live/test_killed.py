"""kill -9 of everything while devices enroll, a few times; `make faults` does it a hundred times."""

from contextlib import nullcontext

import pytest

from benchmarks.faults import evidence, trial, victims
from benchmarks.faults.load import Held
from tests import tables
from tests.server import Server

# All processes of a node at once: tests/live/test_balanced_nodes.py.
KILLS = {
    "sqlite": [victims.WORKER, victims.MASTER],
    "postgresql": [victims.BACKEND, victims.POSTMASTER],
}
ANY_SEED = 20261122


@pytest.mark.parametrize("database", KILLS)
def test_whatever_is_killed_it_comes_back_by_itself_and_nothing_is_lost_or_there_twice(database, tmp_path):
    own = tables.on_postgresql() if database == "postgresql" else nullcontext()
    with own as cluster:
        outcome = trial.run(tmp_path, cluster, KILLS[database], ANY_SEED, clients=2, restart_after=0.1)
        assert outcome.faults == []
        assert sorted(kind for kind, _ in outcome.kills) == sorted(KILLS[database])
        assert outcome.told.retries > 0, "devices were hit"
        assert len(outcome.told.held) == outcome.evidence.certificates == outcome.evidence.audited > 0
        assert outcome.evidence.proof.startswith("PROVEN")
        assert outcome.tracebacks == 0

        if database == "sqlite":
            stored = Server(tmp_path / "var", {"DATABASE_URL": ""})
            lost = outcome.told.held.pop()
            outcome.told.held.append(Held("fault-0", "0" * 64, "0" * 64))
            assert evidence.compare(stored, outcome.told).faults == [
                "What fault-0 holds is not in the database.",
                f"Nobody holds {lost.name}'s certificate.",
            ], "the comparison sees what is lost"
