"""The agent of examples/agent, run as a device's timer would run it."""

import hashlib
import os
import shlex
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.server import ROOT

SCRIPT = ROOT / "examples" / "agent" / "hatchery-agent"


@dataclass
class Agent:
    """A device's settings and files."""

    home: Path
    name: str
    settings: dict[str, str]
    shell: tuple[str, ...] = ("sh",)
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.home / "agent"

    @property
    def shims(self) -> Path:
        """Programs in here are found before the system's."""
        return self.home / "shims"

    def command(self, *words: str, before: str = "") -> list[str]:
        lines = {"name": self.name, "folder": str(self.folder), **self.settings}
        conf = self.home / "agent.conf"
        conf.write_text("# a device\n\n" + "".join(f"{key}={value}\n" for key, value in lines.items()))
        script = shlex.join((*self.shell, str(SCRIPT), str(conf), *words))
        return ["sh", "-c", f"{before}\nexec {script}"]

    @property
    def surroundings(self) -> dict[str, str]:
        return {"PATH": f"{self.shims}:{os.environ['PATH']}", "HOME": str(self.home), **self.environment}

    def run(self, *words: str, before: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words, before=before),
            env=self.surroundings,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*words),
            env=self.surroundings,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def shim(self, program: str, script: str) -> None:
        """Put a script in a program's place; $REAL is the program."""
        self.shims.mkdir(exist_ok=True)
        path = self.shims / program
        path.write_text(f"#!/bin/sh\nREAL=$(PATH=${{PATH#*:}} command -v {program})\n{script}\n")
        path.chmod(0o755)

    def unshim(self, program: str) -> None:
        (self.shims / program).unlink()

    @property
    def certificate(self) -> x509.Certificate:
        return x509.load_pem_x509_certificates((self.folder / "current/cert.pem").read_bytes())[0]

    @property
    def serial(self) -> int:
        return self.certificate.serial_number

    @property
    def pair(self) -> str:
        """What stands for key and certificate, read at once."""
        folder = (self.folder / "current").resolve()
        read = (folder / "key.pem").read_bytes() + (folder / "cert.pem").read_bytes()
        return hashlib.sha256(read).hexdigest()

    def has_one_pair(self) -> bool:
        """Whether key and certificate belong together."""
        key = load_pem_private_key((self.folder / "current/key.pem").read_bytes(), None)
        return key.public_key() == self.certificate.public_key()

    @property
    def state(self) -> dict[str, list[int]]:
        lines = (self.folder / "current/state").read_text().splitlines()
        return {word: [int(number) for number in numbers] for word, *numbers in map(str.split, lines)}

    @property
    def left_over(self) -> set[str]:
        """What is in the folder beside what belongs there."""
        expected = {"ca.pem", "current", "pairs", "lock", "token-used"}
        return {path.name for path in self.folder.iterdir()} - expected


# What a shim for curl begins with: `asked` is whether this call is for that path.
def when_asked(path: str, script: str) -> str:
    """A shim for curl that does something of its own when this path is asked for."""
    return f'case "$*" in */{path}) {script} ;; *) exec "$REAL" "$@" ;; esac'


# The answer comes, and is lost: kept where a test finds it, and not where curl was told to put it.
LOSE = """
for word; do [ "$last" != --output ] || out=$word; last=$word; done
"$REAL" "$@" >/dev/null; cp "$out" "$HOME/lost"; rm -f "$out"; echo 'curl: (56) Recv failure' >&2; exit 56"""
