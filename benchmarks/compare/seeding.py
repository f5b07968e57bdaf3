"""Installations with 10,000 and 1,000,000 certificates, kept for `benchmarks.compare`, on both databases.

`python -m benchmarks.compare.seeding [--to FOLDER] [--certificates N ...]` makes those that are not there
yet; a million took 46 minutes on SQLite, on a busy machine.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.compare.hatchery import CLUSTER, DATA, initdb
from tests import postgres
from tests.forks import ROOT

FOLDER = Path("var/bench-seeds")
SIZES = (10_000, 1_000_000)
_OF_A_DEVICE = 10  # certificates


def folder_of(seeds: Path, database: str, certificates: int) -> Path:
    return seeds / f"{database}-{certificates}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--to", type=Path, default=FOLDER, help=f"({FOLDER})")
    parser.add_argument("--certificates", type=int, nargs="+", default=SIZES, help=str(SIZES))
    given = parser.parse_args()
    for certificates in given.certificates:
        for database, seed in (("sqlite", _on_sqlite), ("postgresql", _on_postgresql)):
            folder = folder_of(given.to, database, certificates)
            if folder.exists():
                continue
            # What was ended in the middle is never taken for the whole.
            part = folder.with_name(f"{folder.name}.part")
            shutil.rmtree(part, ignore_errors=True)
            seed(part, certificates)
            part.rename(folder)


def _on_sqlite(folder: Path, certificates: int) -> None:
    _seed(folder / DATA, "", certificates)


def _on_postgresql(folder: Path, certificates: int) -> None:
    with postgres.cluster(initdb()) as cluster:
        _seed(folder / DATA, cluster.url, certificates)
        cluster.stop()
        shutil.copytree(cluster.folder / "data", folder / CLUSTER)


def _seed(data: Path, database_url: str, certificates: int) -> None:
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "DJANGO_READ_DOT_ENV": "off",
        "PORTAL_DATA_DIR": str(data.resolve()),
    }
    command = [sys.executable, "-m", "benchmarks.seed", "--certificates", str(certificates)]
    command += ["--devices", str(max(1, certificates // _OF_A_DEVICE))]
    data.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(command, cwd=ROOT, env=environment, check=True)


if __name__ == "__main__":
    main()
