"""Service managers: what starts a program again when it has ended, and does nothing else."""

import signal
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Protocol

from tests.postgres import Cluster
from tests.server import Server

_LOOK_SECONDS = 0.02


class Program(Protocol):
    """What a manager keeps running."""

    def start(self) -> None: ...

    def is_running(self) -> bool: ...


class Manager:
    """Starts a program again, `after` seconds since it ended: systemd's Restart=always and RestartSec=."""

    def __init__(self, program: Program, after: float) -> None:
        self.program = program
        self.starts = 0  # that it made, also those that failed
        self._after = after
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Leave the program as it is."""
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(_LOOK_SECONDS):
            if self.program.is_running():
                continue
            if self._stopped.wait(self._after):
                return
            self.starts += 1
            self.program.start()


class Portal:
    """`manage.py serve`, each time with a log of its own."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.refusals: list[str] = []  # what starts that failed have said
        self._logs = [server.log]

    def start(self) -> None:
        self.server.log = self.server.data / f"serve-{len(self._logs)}.log"
        self._logs.append(self.server.log)
        try:
            self.server.start()
        except RuntimeError:
            said = self.server.output().strip()
            # Without, it was killed while it started.
            if said:
                self.refusals.append(said.splitlines()[-1])

    def is_running(self) -> bool:
        return self.server.process is not None and self.server.process.poll() is None

    def said(self) -> str:
        """All that was logged."""
        return "".join(log.read_text() for log in self._logs if log.exists())


class Database:
    """PostgreSQL."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def start(self) -> None:
        self.cluster.start()

    def is_running(self) -> bool:
        return self.cluster.server is not None and self.cluster.server.poll() is None


def until(is_so: Callable[[], bool], seconds: float) -> bool:
    """Whether it becomes so in time."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_SECONDS)
    return True


def end(process: subprocess.Popen | None) -> None:
    """Have a program stop in order."""
    if process is not None and process.poll() is None:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
