"""Whom `kill -9` strikes: what there is to kill, found among the processes at that moment."""

import os
import random
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.postgres import Cluster
from tests.server import Server

Victims = Callable[[], list[int]]  # their process ids; none if there is nobody at this moment

WORKER, ALL_WORKERS, MASTER, EVERYTHING = OURS = (
    "a worker",
    "all workers",
    "the master",
    "master and workers",
)
BACKEND, POSTMASTER = OF_POSTGRESQL = ("a database backend", "the postmaster")

_BACKEND = b"postgres: hatchery "  # how PostgreSQL names the processes that serve its clients


def finders(server: Server, cluster: Cluster | None, dice: random.Random) -> dict[str, Victims]:
    """Who there is of each kind at a moment."""
    ours = {
        WORKER: lambda: _one(workers(server), dice),
        ALL_WORKERS: lambda: workers(server),
        # Its workers are left to themselves, as by a manager that does not know them.
        MASTER: lambda: master(server),
        EVERYTHING: lambda: [*master(server), *workers(server)],
    }
    if cluster is None:
        return ours
    return ours | {
        BACKEND: lambda: _one(_backends(cluster), dice),
        POSTMASTER: lambda: _postmaster(cluster),
    }


def kill(victims: list[int]) -> bool:
    """Whether anybody was there to be killed."""
    killed = False
    for pid in victims:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            killed = True
    return killed


def master(server: Server) -> list[int]:
    process = server.process
    return [process.pid] if process is not None and process.poll() is None else []


def workers(server: Server) -> list[int]:
    return [child for pid in master(server) for child in _children(pid)]


def _postmaster(cluster: Cluster) -> list[int]:
    process = cluster.server
    return [process.pid] if process is not None and process.poll() is None else []


def _backends(cluster: Cluster) -> list[int]:
    children = [child for pid in _postmaster(cluster) for child in _children(pid)]
    return [pid for pid in children if _title(pid).startswith(_BACKEND)]


def _one(pids: list[int], dice: random.Random) -> list[int]:
    return [dice.choice(pids)] if pids else []


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _title(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
