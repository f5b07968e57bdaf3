"""What an operation costs Hatchery and others, on this machine and in turn.

`python -m benchmarks.compare` takes some minutes: both databases, one client. `--long` measures everything
that is compared, with 1, 8 and 64 clients, and Hatchery with many certificates stored, if
`python -m benchmarks.compare.seeding` has made such; 20 minutes. It writes var/bench/DATE.json, of which
`python -m benchmarks.report` makes the tables and the plot.

CPU time is user and system, from the kernel's accounts, of a server's master and workers together. All
servers run all the time, and each round measures them one after the other: a machine that is faster or
slower for a while is so for all of them.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from benchmarks.compare import accounts, loading, machine, results, seeding, settling
from benchmarks.compare.loading import LoadFailed
from benchmarks.compare.measuring import Cell, Meter
from benchmarks.compare.results import FOLDER, Memory, Results
from benchmarks.compare.served import CONNECTIONS, OPERATIONS, Missing, Served, Starts
from benchmarks.compare.servers import OWN, SERVERS

# What is measured with many certificates stored: all that asks the database.
_STORED = [
    Cell(operation, connections, 8)
    for operation in ("secure", "sign-csr", "renew", "ocsp", "ocsp-nonce", "crl")
    for connections in ("new", "kept")
]


def main() -> None:
    given = _options()
    found = Results(datetime.now(UTC).isoformat(timespec="seconds"), machine.described())
    path = given.to / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    cells = [
        Cell(operation, connections, clients)
        for operation in given.operations
        for connections in given.connections
        for clients in given.clients
    ]
    with tempfile.TemporaryDirectory(prefix="hatchery-bench-") as name:
        folder = Path(name)
        meter = Meter(_load(folder), given.seconds)
        starts = {name: (0, SERVERS[name]) for name in given.servers}
        _run(starts, cells, given.rounds, meter, found, path, folder / "empty")
        if given.long:
            _run(dict(_seeded(given.seeds)), _STORED, given.rounds, meter, found, path, folder / "seeded")
    print(f"Written to {path}; python -m benchmarks.report makes tables of it.")
    sys.exit(found.complaint or 0)


def _load(folder: Path) -> Path:
    """The program that asks, without which nothing can be measured."""
    try:
        return loading.build(folder)
    except Missing as error:
        sys.exit(str(error))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--long", action="store_true", help="everything; 20 minutes")
    parser.add_argument("--servers", nargs="+", choices=SERVERS, help="(Hatchery's own; --long: all)")
    parser.add_argument("--operations", nargs="+", choices=OPERATIONS, default=OPERATIONS, help="(all)")
    parser.add_argument("--connections", nargs="+", choices=CONNECTIONS, help="(new kept; --long: all)")
    parser.add_argument("--clients", type=int, nargs="+", help="at once (1; --long: 1 8 64)")
    parser.add_argument("--rounds", type=int, default=3, help="(3)")
    parser.add_argument("--seconds", type=float, help="of a measurement, about (0.3; --long: 0.7)")
    parser.add_argument("--seeds", type=Path, default=seeding.FOLDER, help=f"({seeding.FOLDER})")
    parser.add_argument("--to", type=Path, default=FOLDER, help=f"folder of the results ({FOLDER})")
    given = parser.parse_args()
    given.servers = given.servers or list(SERVERS if given.long else OWN)
    given.connections = given.connections or list(CONNECTIONS if given.long else ("new", "kept"))
    given.clients = given.clients or ([1, 8, 64] if given.long else [1])
    given.seconds = given.seconds or (0.7 if given.long else 0.3)
    return given


def _seeded(seeds: Path) -> Iterator[tuple[str, tuple[int, Starts]]]:
    """Hatchery over what is stored in this folder."""
    for database, start in OWN.items():
        for stored in seeding.SIZES:
            seeded = seeding.folder_of(seeds, database, stored)
            if seeded.exists():
                yield f"{database}-{stored}", (stored, partial(start, seeded=seeded))
            else:
                print(f"There is no {seeded}; python -m benchmarks.compare.seeding makes it.")


def _run(
    starts: Mapping[str, tuple[int, Starts]],
    cells: Iterable[Cell],
    rounds: int,
    meter: Meter,
    found: Results,
    path: Path,
    folder: Path,
) -> None:
    """Measure these servers side by side; what was found is written after each round."""
    with ExitStack() as stack:
        running = []
        for name, (stored, start) in starts.items():
            (folder / name).mkdir(parents=True)
            try:
                served = stack.enter_context(start(folder / name))
            except Missing as error:
                print(f"{name} is left out: {error}")
                found.left_out[name] = str(error)
                continue
            running.append(replace(served, stored=stored))
        found.not_measured += settling.settle(running)
        found.memory += [_memory(served, "at rest") for served in running]
        for number in range(1, rounds + 1):
            found.calibrations.append(machine.calibrated())
            for cell in cells:
                _measure(running, cell, number, meter, found)
            results.write(found, path)
        found.memory += [_memory(served, "after") for served in running]
        results.write(found, path)


def _measure(running: Iterable[Served], cell: Cell, number: int, meter: Meter, found: Results) -> None:
    for served in running:
        if not served.can(cell.operation, cell.connections):
            continue
        try:
            measured = meter.measure(served, cell, number)
        except LoadFailed as error:
            found.not_measured.append(f"{served.name}, {cell.operation}, {cell.connections}: {error}")
            print(f"NOT MEASURED: {found.not_measured[-1]}", flush=True)
            continue
        found.measured.append(measured)
        print(
            f"{number} {served.name:<14} {served.stored:>9,} {cell.operation:<10} {cell.connections:<7} "
            f"{cell.clients:>2} {measured.cpu_ms:8.3f} {measured.database_cpu_ms:7.3f} ms CPU "
            f"{measured.throughput:8.0f}/s p50 {measured.p50_ms:7.2f} p99 {measured.p99_ms:7.2f} ms"
            f"{f'  FAILED {measured.failures}' if measured.failures else ''}",
            flush=True,
        )


def _memory(served: Served, moment: str) -> Memory:
    return Memory(
        served.name,
        served.stored,
        moment,
        accounts.memory(served.processes()),
        accounts.memory(served.database_processes()),
    )


if __name__ == "__main__":
    main()
