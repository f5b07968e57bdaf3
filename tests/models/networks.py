"""A way from this machine to another one that can be cut without a word, as when that machine is gone."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.clients import needs

PORT = 5432
_OURS, _THEIRS = "02:00:00:00:00:01", "02:00:00:00:00:02"


class Way:
    """A cable to a machine of its own, which passes what comes there on to a socket's file here."""

    def __init__(self) -> None:
        self._ip = needs("ip", package="iproute2")
        number = os.getpid()
        self.machine, self.near, self.far = f"hatchery-{number}", f"ht{number}a", f"ht{number}b"
        # RFC 2544: addresses that are nobody's.
        net = f"198.18.{number >> 6 & 255}.{(number & 63) * 4}"
        self.here, self.there = (net.rpartition(".")[0] + f".{(number & 63) * 4 + last}" for last in (1, 2))

    def lay(self) -> None:
        """Raises CalledProcessError."""
        self._does("netns", "add", self.machine)
        ends = ("name", self.near, "address", _OURS, "type", "veth")
        self._does("link", "add", *ends, "peer", "name", self.far, "address", _THEIRS, "netns", self.machine)
        self._does("addr", "add", f"{self.here}/30", "dev", self.near)
        self._there("addr", "add", f"{self.there}/30", "dev", self.far)
        self._does("link", "set", self.near, "up")
        self._there("link", "set", self.far, "up")
        # As behind a router: nobody asks the machine itself whether it is there, and learns that it is not.
        neighbor = ("neigh", "replace", self.there, "lladdr", _THEIRS, "nud", "permanent")
        self._does(*neighbor, "dev", self.near)

    def cut(self) -> None:
        """Have what is sent there, and what is there, be lost; nobody is told."""
        self._there("route", "add", "blackhole", f"{self.here}/32")

    def mend(self) -> None:
        self._there("route", "del", "blackhole", f"{self.here}/32")

    @contextmanager
    def to(self, path: Path) -> Iterator[None]:
        """Have what connects there be connected to a socket's file."""
        listens = f"TCP-LISTEN:{PORT},bind={self.there},fork,reuseaddr"
        socat = needs("socat", package="socat")
        told = [self._ip, "netns", "exec", self.machine, socat, "-d", "-d", listens, f"UNIX-CONNECT:{path}"]
        with subprocess.Popen(told, stderr=subprocess.PIPE) as running:
            try:
                while b"listening on" not in (line := running.stderr.readline()):
                    assert line, "socat does not listen"
                yield
            finally:
                running.kill()

    def remove(self) -> None:
        """The cable goes with the machine at its end."""
        subprocess.run([self._ip, "netns", "del", self.machine], capture_output=True)

    def _does(self, *words: str) -> None:
        subprocess.run([self._ip, *words], check=True, capture_output=True, text=True)

    def _there(self, *words: str) -> None:
        self._does("-n", self.machine, *words)


@contextmanager
def way_to(path: Path) -> Iterator[Way]:
    """A way to a socket's file; skips the test where none may be laid."""
    way = Way()
    try:
        try:
            way.lay()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"a network that can be cut takes root: {error.stderr.strip()}")
        with way.to(path):
            yield way
    finally:
        way.remove()
