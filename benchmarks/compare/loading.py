"""The program of `benchmarks/load`: built, given a job, and started once its clients are ready."""

import base64
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.alternatives import programs
from benchmarks.compare.served import Job, Request

_SOURCE = Path(__file__).resolve().parent.parent / "load"
_ALL_DONE, _SOME_FAILED = 0, 1  # exit statuses


class LoadFailed(Exception):
    """The program could not do what it was asked for."""


@dataclass(frozen=True)
class Way:
    """How a job is done: over which connections, by how many clients, how often."""

    connections: str  # new, resumed, kept
    clients: int
    operations: int
    warm_up: int = 2  # operations of each client that are not measured

    @property
    def requests(self) -> int:
        return self.operations + self.warm_up * self.clients


@dataclass(frozen=True)
class Loaded:
    """What was seen; see `benchmarks/load/main.go`."""

    operations: int
    seconds: float
    throughput: float  # operations a second
    p50_ms: float
    p99_ms: float
    failures: int
    failed: dict[str, int]
    connections: int
    resumed: int
    own_cpu_seconds: float


def build(folder: Path) -> Path:
    """The program, made anew in this folder; Go keeps what it has compiled before. Raises Missing."""
    return programs.built(_SOURCE, folder / "load")


@contextmanager
def ready(program: Path, job: Job, way: Way) -> Iterator[Callable[[], Loaded]]:
    """Have everything prepared and the server warm; what is yielded does the operations.

    Raises LoadFailed with what the program says. Operations that fail are told in what is returned.
    """
    with tempfile.TemporaryDirectory(prefix="hatchery-load-") as folder:
        command = [str(program), str(_written(job, way, Path(folder)))]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
            try:
                if process.stdout is None or process.stderr is None:
                    raise RuntimeError("it has no pipes")
                if process.stdout.readline() != "ready\n":
                    raise LoadFailed(process.stderr.read().strip())
                yield lambda: _go(process)
            finally:
                process.kill()


def _go(process: "subprocess.Popen[str]") -> Loaded:
    told, said = process.communicate("\n")
    if process.returncode not in (_ALL_DONE, _SOME_FAILED):
        raise LoadFailed(said.strip())
    return Loaded(**json.loads(told))


def _written(job: Job, way: Way, folder: Path) -> Path:
    """The job as a file."""
    asked = {
        "url": job.url,
        "ca": _text(job.ca),
        "certificate": _text(job.certificate),
        "key": _text(job.key),
        "method": job.method,
        "headers": dict(job.headers),
        "body": _base64(job.body),
        "prime": job.prime,
        "expect": job.expect,
        "connections": way.connections,
        "clients": way.clients,
        "operations": way.operations,
        "warm_up": way.warm_up,
    }
    if job.requests:
        lines = folder / "requests.jsonl"
        lines.write_text("".join(f"{json.dumps(_line(each))}\n" for each in job.requests))
        asked["requests"] = str(lines)
    path = folder / "job.json"
    path.write_text(json.dumps(asked))
    return path


def _line(request: Request) -> dict[str, object]:
    return {
        "headers": dict(request.headers),
        "body": _base64(request.body),
        "certificate": request.certificate,
        "key": request.key,
    }


def _base64(body: bytes) -> str:
    return base64.b64encode(body).decode()


def _text(path: Path | None) -> str:
    return str(path) if path else ""
