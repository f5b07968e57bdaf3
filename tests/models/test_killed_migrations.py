"""kill -9 in the middle of `migrate`: the next one finishes it, and every row is there."""

import subprocess
import sys

from tests.server import ROOT, Server

KILLS, ANY_SEED = "2", "20261122"


def test_a_migration_that_is_killed_is_finished_by_the_next_with_every_row(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.faults.migrations", KILLS, ANY_SEED],
        cwd=ROOT,
        env=Server(tmp_path / "var").environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == f"{KILLS} kills; all is done, and every row is there"
