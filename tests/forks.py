"""A process that has loaded Hatchery for one installation, and does each thing that it is asked in a child.

Measured, 0.07 s of CPU for each instead of 0.4 s. A child is as new as a process of its own: its parent has
done nothing but load. What is itself tested runs by `Server.manage`.
"""

import base64
import json
import os
import random
import subprocess
import sys
import traceback
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock, Timer

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 60.0  # for what is asked, generous


@dataclass
class Forks:
    """The process, from the side of the tests. One thing at a time."""

    environment: dict[str, str]
    _process: subprocess.Popen | None = None
    _end: Callable[[], object] = lambda: None
    _turn: Lock = field(default_factory=Lock)

    def run(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess:
        """Run `inside` and the name of a function of tests.live.inside, or a command of `manage.py`."""
        asked = {"words": words, "stdin": base64.b64encode(stdin).decode()}
        with self._turn:
            process = self._started()
            patience = Timer(SECONDS, process.kill)
            patience.start()
            try:
                process.stdin.write(json.dumps(asked).encode() + b"\n")
                process.stdin.flush()
                told = process.stdout.readline()
            finally:
                patience.cancel()
        if not told:
            raise RuntimeError(f"{words} did not end within {SECONDS:.0f} seconds, or Hatchery does not load")
        status, out, err = json.loads(told)
        return subprocess.CompletedProcess(words, status, base64.b64decode(out), base64.b64decode(err))

    def end(self) -> None:
        with self._turn:
            if self._process is not None:
                self._end()
                self._process = None

    def _started(self) -> subprocess.Popen:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.forks"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            # Also when a test forgets its server: it ends once nothing more can be asked.
            self._end = weakref.finalize(self, self._process.communicate)
        return self._process


def main() -> None:
    from tests.live import inside  # noqa: F401  loads everything

    os.umask(0o077)  # as manage.py does
    while line := sys.stdin.buffer.readline():
        asked = json.loads(line)
        with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
            given.write(base64.b64decode(asked["stdin"]))
            given.seek(0)
            child = os.fork()
            if child == 0:
                for number, file in enumerate((given, out, err)):
                    os.dup2(file.fileno(), number)
                os._exit(_status(asked["words"]))
            _, status = os.waitpid(child, 0)
            said = [base64.b64encode(_read(file)).decode() for file in (out, err)]
        print(json.dumps([os.waitstatus_to_exitcode(status), *said]), flush=True)


def _read(file) -> bytes:
    file.seek(0)
    return file.read()


def _status(words: list[str]) -> int:
    """Do it, in the child; its exit status."""
    from django.core.management import execute_from_command_line

    from tests.live import inside

    random.seed()
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    try:
        if words[0] == "inside":
            getattr(inside, words[1])(*words[2:])
        else:
            execute_from_command_line(["manage.py", *words])
        status = 0
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return status


if __name__ == "__main__":
    main()
