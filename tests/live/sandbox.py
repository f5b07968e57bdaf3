"""A folder that plays a whole machine, for lines that install something: it has /etc, /srv and /usr/local."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.server import ROOT, Server

# What a test does not do to the machine that it runs on; each only notes what it was asked.
NOTED = ("systemctl", "journalctl", "createdb")
_AWAY = re.compile(r"(?<![\w.}/])/(?=(?:etc|srv|usr/local|from)/)")


class Sandbox:
    """Types lines in a folder, as the owner of that machine."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder, self.server = folder, server
        self.notes = folder / "notes"
        for made in ("etc/systemd/system", "srv/backups", "usr/local/bin", "from/the/safe", "bin"):
            (folder / made).mkdir(parents=True)
        for name in NOTED:
            program = folder / "bin" / name
            program.write_text(f'#!/bin/sh\necho {name} "$@" >>"{self.notes}"\n')
            program.chmod(0o755)

    def here(self, text: str) -> str:
        """Lines with the places of this machine: its folders, its Python, its listeners."""
        text = _AWAY.sub(f"{self.folder}/", text)
        text = re.sub(r"(?:\.venv/bin/)?python manage\.py", f"{sys.executable} {ROOT}/manage.py", text)
        # On the page each listener has its usual port; but for what sed is to look for.
        usual = dict(zip(("8443", "8444", "8445", "8446", "8080"), self.server.ports.values(), strict=True))
        return re.sub(r"(?<!s/)hatchery\.example:(\d+)", lambda found: f"localhost:{usual[found[1]]}", text)

    def types(self, text: str, cwd: Path, stdin: bytes = b"") -> subprocess.CompletedProcess:
        """Type lines there, and stop at the first that fails."""
        path = f"{self.folder}/bin:{self.folder}/usr/local/bin:{os.environ['PATH']}"
        return subprocess.run(
            ["sh", "-eu", "-c", self.here(text)],
            cwd=cwd,
            env={**self.server.environment, "PATH": path},
            input=stdin,
            capture_output=True,
            timeout=120,
        )

    def did(self, text: str, cwd: Path, stdin: bytes = b"") -> str:
        """The same, of lines that must all succeed; what they print."""
        done = self.types(text, cwd, stdin)
        assert done.returncode == 0, (text, done.stdout, done.stderr)
        return done.stdout.decode()
