"""A real Hatchery: `manage.py serve` in a process of its own, on free ports and a new data directory."""

import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests import postgres, tables
from tests.forks import ROOT, Forks, inherited

LISTENERS = ("hello", "secure", "provisioning", "console", "status")
LIMITS = ("PORTAL_LIMIT_FAILURES", "PORTAL_LIMIT_DEVICE_FAILURES", "PORTAL_LIMIT_WITHOUT_TOKEN")
STARTS_WITHIN = 90.0  # seconds, generous: the tests do not time the start

_DATABASES: dict[Path, str] = {}  # URLs by data directory


def seen_within(seconds: float, is_there: Callable[[], bool]) -> bool:
    """Whether something is there in time; asked last then, less often if it takes long."""
    deadline = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        if is_there():
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(max(0.02, time.monotonic() - began))


def free_ports(number: int) -> list[int]:
    """Ports that nobody listens on at this moment, and that were not given out a moment ago."""
    return list(itertools.islice(filter(_is_free, _ports()), number))


@cache
def _ports() -> Iterator[int]:
    """Ports that no other process of the tests takes, one after the other, again and again."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    # Below those that a kernel hands out to clients: one of these may be taken before the server is there.
    first = 20_000 + worker % 6 * 2_000
    # By dice of its own: pytest-randomly lets those of `random` fall the same in each test.
    return itertools.cycle(random.SystemRandom().sample(range(first, first + 2_000), 2_000))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@dataclass
class Server:
    """One Hatchery and what a test does with it."""

    data: Path
    settings: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen | None = None
    # Whether `serve` makes the tables; else they are there from a copy, which takes seconds less. On
    # PostgreSQL, if that is what the tests run on, each data directory has a database of its own.
    from_nothing: bool = False
    files: int | None = None  # how many it may have open, if fewer than the tests may
    _forks: Forks | None = None

    def __post_init__(self) -> None:
        ports = free_ports(len(LISTENERS))
        self.ports = dict(zip(LISTENERS, ports, strict=True))
        self.log = self.data / "serve.log"

    def second_node(self, data: Path) -> "Server":
        """Another node of this installation, as docs/operating.md sets it up; not started yet."""
        for folder in ("keys", "secrets"):
            shutil.copytree(self.data / folder, data / folder)
        # Certificates point to one place, whichever node signs them.
        return Server(data, {"PORTAL_STATUS_URL": self.url("status", ""), **self.settings})

    @property
    def demo(self) -> Path:
        return self.data / "demo"

    @property
    def environment(self) -> dict[str, str]:
        ports = {f"PORTAL_PORT_{name.upper()}": str(port) for name, port in self.ports.items()}
        return {
            **inherited(),
            # All tests come from one address; those of the limits set their own.
            **dict.fromkeys(LIMITS, "1000000"),
            **self._database(),
            "DJANGO_READ_DOT_ENV": "off",
            "DJANGO_SETTINGS_MODULE": "tests.served",
            "PORTAL_DATA_DIR": str(self.data),
            **ports,
            **self.settings,
        }

    def _database(self, *, empty: bool = True) -> dict[str, str]:
        """The setting of the data directory's own database, where that is not a file."""
        url = postgres.of_this_run()
        if not url or "DATABASE_URL" in self.settings:
            return {}
        if self.data not in _DATABASES:
            _DATABASES[self.data] = postgres.new_database(url, empty=empty)
        return {"DATABASE_URL": _DATABASES[self.data]}

    def url(self, listener: str, path: str = "/") -> str:
        scheme = "http" if listener == "status" else "https"
        return f"{scheme}://localhost:{self.ports[listener]}{path}"

    def manage(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess:
        """Run a management command against this server's data."""
        return subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env=self.environment,
            input=stdin,
            capture_output=True,
            timeout=60,
        )

    def inside(self, function: str, *words: str, stdin: bytes = b"") -> str:
        """Run a function of tests.live.inside against this server's data, and return what it prints."""
        done = self._prepare("inside", function, *words, stdin=stdin)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.decode())
        return done.stdout.decode()

    def _prepare(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess:
        """Do what is not itself tested, in a fork: see tests.forks."""
        environment = self.environment
        if self._forks is None or self._forks.environment != environment:
            self._end_forks()
            self._forks = Forks(environment)
        return self._forks.run(*words, stdin=stdin)

    def _end_forks(self) -> None:
        """What they have loaded may be of yesterday."""
        if self._forks is not None:
            self._forks.end()
            self._forks = None

    def start(self) -> "Server":
        self._end_forks()
        self.data.mkdir(parents=True, exist_ok=True)
        self.copy_tables()
        before = len(self.output())
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command(),
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended: {self.output()}")
            if "Ctrl-C stops it" in self.output()[before:]:
                return self
            time.sleep(0.05)
        self.process.kill()
        self.process.wait(timeout=20)
        raise RuntimeError(f"the server did not start: {self.output()}")

    def _command(self) -> list[str]:
        serve = [sys.executable, "manage.py", "serve"]
        limited = ["sh", "-c", f'ulimit -n {self.files}; exec "$@"', "sh"]
        return serve if self.files is None else limited + serve

    def copy_tables(self) -> None:
        """Have the tables there before a start, unless it shall make them itself."""
        database = self.data / "db.sqlite3"
        own = f"sqlite:///{database}"
        if self.from_nothing or self.settings.get("DATABASE_URL", own) != own:
            return
        if not (self._database(empty=False) or database.exists()):
            shutil.copy(tables.empty(), database)

    def stop(self, sig: int = signal.SIGINT) -> int:
        """Stop the server and return its exit status."""
        if self.process is None:
            raise RuntimeError("the server was not started")
        self._end_forks()
        self.process.send_signal(sig)
        return self.process.wait(timeout=20)

    def output(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def events(self, kind: str) -> list[dict]:
        """What the log has of audit events of this kind."""
        lines = (line.partition(f" {kind} ") for line in self.output().splitlines())
        # The request's name may follow.
        return [json.JSONDecoder().raw_decode(words)[0] for _, found, words in lines if found]

    def logs(self, text: str, within: float = 10.0) -> bool:
        """Whether the log shows `text` in time: what a client is told comes before what is written of it."""
        return seen_within(within, lambda: text in self.output())

    def quickly(self, *words: str) -> str:
        """What a command of `manage.py` prints that is not itself tested."""
        done = self._prepare(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    def token(self, *words: str) -> str:
        """A token from `manage.py issue_token`."""
        return self.quickly("issue_token", *words).strip()

    def maintain(self) -> None:
        """Have done what the workers do within a minute; one that is just at it is waited for."""

        def is_done() -> bool:
            done = self._prepare("maintain")
            assert done.returncode == 0, done.stdout + done.stderr
            return b"Another process is at it" not in done.stdout

        assert seen_within(60.0, is_done)

    def revoke(self, device: str, reason: str = "keyCompromise") -> None:
        """Revoke all that a device has, from the shell."""
        self.quickly("revoke", "--device", device, "--reason", reason)
