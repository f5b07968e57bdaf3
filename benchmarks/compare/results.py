"""What a run has found, as a file of JSON."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.compare.machine import Calibration, Machine
from benchmarks.compare.measuring import Measured

FOLDER = Path("var/bench")


@dataclass(frozen=True)
class Memory:
    """What a server's processes hold."""

    server: str
    stored: int
    moment: str  # "at rest" or "after" the measurements
    mb: float
    database_mb: float


@dataclass
class Results:
    date: str  # ISO 8601, UTC
    machine: Machine
    calibrations: list[Calibration] = field(default_factory=list)
    measured: list[Measured] = field(default_factory=list)
    memory: list[Memory] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)  # servers that could not be had, and why
    not_measured: list[str] = field(default_factory=list)  # what, and why

    @property
    def complaint(self) -> str:
        """What went wrong, a line each; empty if nothing did."""
        failed = (
            f"{each.failures} failed of {each.server}, {each.operation}, {each.connections}, "
            f"{each.clients} at once: {', '.join(each.failed)}"
            for each in self.measured
            if each.failures
        )
        return "\n".join([*self.not_measured, *failed])


def write(results: Results, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(results), indent=1) + "\n")


def read(path: Path) -> Results:
    told = json.loads(path.read_text())
    return Results(
        told["date"],
        Machine(**told["machine"]),
        [Calibration(**each) for each in told["calibrations"]],
        [Measured(**each) for each in told["measured"]],
        [Memory(**each) for each in told["memory"]],
        told["left_out"],
        told["not_measured"],
    )


def newest(folder: Path = FOLDER) -> Path:
    """The newest file of a folder. Raises FileNotFoundError."""
    found = sorted(folder.glob("*.json"))
    if not found:
        raise FileNotFoundError(f"There are no results in {folder}; make bench writes some.")
    return found[-1]
