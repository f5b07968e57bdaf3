"""A disk so small that it can be filled."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.clients import needs

_SIZE = "24m"
_PIECE = bytes(4096)


class Disk:
    """A file system of its own, mounted at `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave no byte."""
        descriptor = os.open(self._ballast, os.O_WRONLY | os.O_CREAT)
        try:
            while True:
                os.write(descriptor, _PIECE)
        except OSError:
            pass
        finally:
            os.close(descriptor)

    def make_room(self) -> None:
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small(folder: Path) -> Iterator[Disk]:
    """A disk at `folder`; skips the test where none may be mounted."""
    folder.mkdir()
    mount = needs("mount", package="mount")
    told = [mount, "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(folder)]
    done = subprocess.run(told, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"a disk that can be filled has to be mounted, which takes root: {done.stderr.strip()}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
