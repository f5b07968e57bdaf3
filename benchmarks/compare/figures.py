"""Figures of several rounds put together, and what they say of the aims."""

import statistics
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from benchmarks.compare.hatchery import POSTGRESQL, SQLITE
from benchmarks.compare.measuring import Cell, Measured
from benchmarks.compare.results import Results
from benchmarks.compare.seeding import SIZES

FEW, MANY = min(SIZES), max(SIZES)  # certificates stored
NODE_MEMORY = 250  # MB


@dataclass(frozen=True)
class Figure:
    """Medians of the rounds."""

    cpu_ms: float
    database_cpu_ms: float
    throughput: float
    p50_ms: float
    p99_ms: float
    failures: int  # of all rounds

    @property
    def all_cpu_ms(self) -> float:
        return self.cpu_ms + self.database_cpu_ms


@dataclass(frozen=True)
class Figures:
    """Of each server, with so many certificates stored, and each cell."""

    by_key: dict[tuple[str, int, Cell], Figure]

    def get(self, server: str, cell: Cell, stored: int = 0) -> Figure | None:
        return self.by_key.get((server, stored, cell))

    def servers(self) -> list[str]:
        return list(dict.fromkeys(server for server, stored, _ in self.by_key if not stored))

    def cells(self, *, stored: bool = False) -> list[Cell]:
        return list(dict.fromkeys(cell for _, number, cell in self.by_key if bool(number) == stored))

    def growth(self, server: str, cell: Cell) -> float | None:
        """How many times as much an operation costs with a million certificates as with ten thousand."""
        few, many = self.get(server, cell, FEW), self.get(server, cell, MANY)
        return many.all_cpu_ms / few.all_cpu_ms if few and many else None


def put_together(measured: Iterable[Measured]) -> Figures:
    rounds: dict[tuple[str, int, Cell], list[Measured]] = {}
    for each in measured:
        cell = Cell(each.operation, each.connections, each.clients)
        rounds.setdefault((each.server, each.stored, cell), []).append(each)
    return Figures({key: _figure(found) for key, found in rounds.items()})


def _figure(rounds: list[Measured]) -> Figure:
    def median(of: Callable[[Measured], float]) -> float:
        return statistics.median(map(of, rounds))

    return Figure(
        median(lambda each: each.cpu_ms),
        median(lambda each: each.database_cpu_ms),
        median(lambda each: each.throughput),
        median(lambda each: each.p50_ms),
        median(lambda each: each.p99_ms),
        sum(each.failures for each in rounds),
    )


@dataclass(frozen=True)
class Aim:
    """What Hatchery on SQLite is to cost at most, and what it does."""

    what: str
    below: float
    unit: str
    is_: float

    @property
    def met(self) -> bool:
        return self.is_ < self.below


# CPU milliseconds with one client.
_COSTS = {
    ("sign-csr", "new"): 1.9,
    ("sign-csr", "kept"): 1.2,
    ("secure", "new"): 1.8,
    ("secure", "kept"): 0.5,
    ("ocsp", "new"): 0.4,
    ("ocsp", "kept"): 0.4,
}
_P99, _CLIENTS, _GROWTH = 50.0, 8, 1.2


def aims(results: Results, figures: Figures) -> Iterator[Aim]:
    """Those of which there are figures."""
    for (operation, connections), below in _COSTS.items():
        if figure := figures.get(SQLITE, Cell(operation, connections, 1)):
            yield Aim(f"{operation}, {connections}, CPU", below, "ms", figure.cpu_ms)
    for server in (SQLITE, POSTGRESQL):
        at_once = {
            cell: figure
            for cell in figures.cells()
            if cell.clients == _CLIENTS and (figure := figures.get(server, cell))
        }
        if at_once:
            worst = max(at_once, key=lambda cell: at_once[cell].p99_ms)
            what = f"p99 with {_CLIENTS} clients, {server}, worst: {worst.operation}, {worst.connections}"
            yield Aim(what, _P99, "ms", at_once[worst].p99_ms)
        grown = {
            cell: ratio for cell in figures.cells(stored=True) if (ratio := figures.growth(server, cell))
        }
        if grown:
            worst = max(grown, key=lambda cell: grown[cell])
            worst_of = f"{server}, worst: {worst.operation}, {worst.connections}"
            yield Aim(f"{MANY:,} certificates against {FEW:,}, {worst_of}", _GROWTH, "times", grown[worst])
    for each in results.memory:
        if each.server in (SQLITE, POSTGRESQL) and each.moment == "after" and not each.stored:
            yield Aim(f"memory, {each.server}", NODE_MEMORY, "MB", each.mb)
