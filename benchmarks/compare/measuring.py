"""One figure of the table: a server does one operation so and so often, and its processes' time is noted."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.compare import accounts, loading
from benchmarks.compare.loading import Loaded, Way
from benchmarks.compare.served import Job, Served

# What a server does after its answer, such as closing a connection, belongs to the operation.
_SETTLES = 0.05  # seconds
_FEW, _FEWEST, _MOST = 8, 200, 20_000  # operations of one measurement
_LONGEST = 4.0  # seconds
# Of what has sessions or connections of its own from before: a server ends a connection that is idle.
_PRIMED, _LONGEST_PRIMED = "renew", 2.0
_TRIED = 80  # operations that tell how many fill the seconds, and warm the server up


@dataclass(frozen=True)
class Cell:
    """What is measured of a server."""

    operation: str
    connections: str  # new, resumed, kept
    clients: int


@dataclass(frozen=True)
class Measured:
    """What an operation cost in one round."""

    server: str
    stored: int  # certificates that were there before
    operation: str
    connections: str
    clients: int
    round: int
    operations: int  # that did not fail
    cpu_ms: float  # of the server's processes, for one operation
    database_cpu_ms: float  # of its database's
    load_cpu_ms: float  # of those who asked
    throughput: float  # operations a second
    p50_ms: float
    p99_ms: float
    opened: int  # connections while it was measured
    resumed: int  # of these
    failures: int = 0
    failed: dict[str, int] = field(default_factory=dict)  # by what was answered


@dataclass
class Meter:
    """Measures servers with one program, each time for about so many seconds."""

    program: Path
    seconds: float
    # Operations a second, the most that were seen: a moment at which others had the machine says nothing.
    _rates: dict[tuple[str, int, str, str], float] = field(default_factory=dict)

    def measure(self, served: Served, cell: Cell, number: int) -> Measured:
        """Round `number` of what the server can do. Raises LoadFailed."""
        operations = self._operations(served, cell)
        # A session, or a connection, that each client has from before.
        way = Way(cell.connections, cell.clients, operations, warm_up=int(cell.connections != "new"))
        job = served.jobs[cell.operation](way.requests)
        with loading.ready(self.program, job, way) as go:
            before = _used(served)
            loaded = go()
            time.sleep(_SETTLES)
            after = _used(served)
        server, database = (
            (now - then) * 1000 / way.operations for then, now in zip(before, after, strict=True)
        )
        _check(loaded, job, cell)
        self._rates[_rated(served, cell)] = max(self._rates[_rated(served, cell)], loaded.throughput)
        return Measured(
            server=served.name,
            stored=served.stored,
            operation=cell.operation,
            connections=cell.connections,
            clients=cell.clients,
            round=number,
            operations=loaded.operations,
            cpu_ms=server,
            database_cpu_ms=database,
            load_cpu_ms=loaded.own_cpu_seconds * 1000 / way.operations,
            throughput=loaded.throughput,
            p50_ms=loaded.p50_ms,
            p99_ms=loaded.p99_ms,
            opened=loaded.connections,
            resumed=loaded.resumed,
            failures=loaded.failures,
            failed=loaded.failed,
        )

    def _operations(self, served: Served, cell: Cell) -> int:
        """As many as fill the seconds; those that tell how fast they go also warm the server up."""
        rate = self._rates.get(_rated(served, cell), 0.0)
        if not rate:
            tried = Way(cell.connections, clients=8, operations=_TRIED, warm_up=1)
            job = served.jobs[cell.operation](tried.requests)
            with loading.ready(self.program, job, tried) as go:
                rate = go().throughput
            self._rates[_rated(served, cell)] = rate
        # Enough for a p99, if that does not take for ever.
        longest = _LONGEST_PRIMED if cell.operation == _PRIMED else _LONGEST
        wanted = min(max(_FEWEST, rate * self.seconds), max(_FEW, rate * longest))
        return round(min(wanted, _MOST))


def _rated(served: Served, cell: Cell) -> tuple[str, int, str, str]:
    return served.name, served.stored, cell.operation, cell.connections


def _used(served: Served) -> tuple[float, float]:
    return accounts.cpu_seconds(served.processes()), accounts.cpu_seconds(served.database_processes())


def _check(loaded: Loaded, job: Job, cell: Cell) -> None:
    """Raise LoadFailed if what was measured is not what its name says."""
    resumable = cell.connections == "resumed" and loaded.connections
    if resumable and loaded.resumed < loaded.connections * 0.99:
        raise loading.LoadFailed(f"{loaded.resumed} of {loaded.connections} sessions were resumed: {job.url}")
    if cell.connections == "kept" and loaded.connections > cell.clients:
        raise loading.LoadFailed(f"{loaded.connections} connections were not kept: {job.url}")
