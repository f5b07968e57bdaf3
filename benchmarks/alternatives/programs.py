"""Programs that a benchmark builds, starts, waits for and stops."""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.compare import accounts
from benchmarks.compare.served import Missing
from tests.clients import which

STARTS_WITHIN = 60.0  # seconds
STOPS_WITHIN = 20.0
# As many cores as Hatchery's two workers use.
GO = {"GOMAXPROCS": "2"}

Processes = Callable[[], list[psutil.Process]]


def program(name: str, *, package: str) -> str:
    """The path of an installed program. Raises Missing, naming Debian's package."""
    found = which(name)
    if found is None:
        raise Missing(f"{name} is not installed; on Debian: apt-get install {package}")
    return found


@contextmanager
def running(
    command: Sequence[str | Path],
    folder: Path,
    ports: Sequence[int],
    environment: Mapping[str, str] | None = None,
) -> Iterator[Processes]:
    """Run a program in a folder, from when it takes connections at all ports (127.0.0.1).

    Its output goes to `log` there. Raises RuntimeError with that output if it does not start.
    """
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        _wait(process, ports, log)
        yield lambda: accounts.with_children(process.pid)
    finally:
        process.terminate()
        try:
            process.wait(STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen, ports: Sequence[int], log: Path) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while not all(map(_accepts, ports)):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{process.args} did not start: {log.read_text()}")
        time.sleep(0.05)


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True


def built(source: Path, target: Path, environment: Mapping[str, str] | None = None) -> Path:
    """A Go program, built from a folder or a file.

    Raises Missing without a compiler, or RuntimeError with what the compiler says.
    """
    go = program("go", package="golang-go")
    folder, what = (source, ".") if source.is_dir() else (source.parent, source.name)
    done = subprocess.run(
        [go, "build", "-o", target, what],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{source} cannot be built: {done.stderr}")
    return target
