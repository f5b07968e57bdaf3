"""Folders of examples/, typed along in one shell as their READMEs say, from the folder of a checkout."""

import re
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess

from tests.clients import run
from tests.live.pages import Step, here, steps
from tests.server import ROOT, Server

EXAMPLES = ROOT / "examples"
COMPILED_WITHIN = 300.0  # seconds, generous
# What each needs beside Python, and of which package of Debian's.
PROGRAMS = {
    "curl": {"curl": "curl", "openssl": "openssl"},
    "openssl": {"openssl": "openssl"},
    "python": {"curl": "curl"},
    "node": {"node": "nodejs", "openssl": "openssl", "curl": "curl"},
    "go": {"go": "golang-go", "curl": "curl"},
    "java": {"javac": "default-jdk-headless", "openssl": "openssl", "curl": "curl"},
}


@dataclass(frozen=True)
class Heard:
    """A line that was typed, and what came of it."""

    step: Step
    status: int
    output: str


@dataclass
class Example:
    """One folder of examples/, and the checkout in which its README is typed along."""

    name: str
    server: Server
    checkout: Path
    heard: list[Heard] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Where the README's first lines lead."""
        return self.checkout / "var" / f"try-{self.name}"

    @property
    def readme(self) -> str:
        return (EXAMPLES / self.name / "README.md").read_text()

    def type_along(self) -> None:
        """Type all lines into one shell, from the first to the last, whatever comes of them."""
        (self.checkout / "var").mkdir()
        (self.checkout / "examples").symlink_to(EXAMPLES)
        (self.checkout / "var" / "demo").symlink_to(self.server.demo)
        heard = self.checkout / "heard"
        heard.mkdir()
        lines = steps(self.readme)
        script = "".join(
            f"{{ {here(step.command, self.server)}\n}} >{heard}/{number}.out 2>&1\n"
            f"echo $? >{heard}/{number}.status\n"
            for number, step in enumerate(lines)
        )
        self._sh(script, self.checkout)
        for number, step in enumerate(lines):
            status = int((heard / f"{number}.status").read_text())
            self.heard.append(Heard(step, status, (heard / f"{number}.out").read_text(errors="replace")))

    def copied(self, checkout: Path) -> "Example":
        """The same in another checkout, with all its files."""
        copy = Example(self.name, self.server, checkout, self.heard)
        shutil.copytree(self.folder, copy.folder)
        return copy

    def lines(self, *parts: str) -> list[str]:
        """The README's lines that have all of these in them."""
        commands = (step.command for step in steps(self.readme))
        return [command for command in commands if all(part in command for part in parts)]

    def sh(self, line: str, ports: object = None) -> CompletedProcess:
        """Type one line in the folder, as if it were `ports` that listens and not the server."""
        return self._sh(here(line, ports or self.server), self.folder)

    def says(self, because: str) -> str:
        """What the README's table says that is shown because of this."""
        rows = re.findall(r"^\| (?:`(.*?)`|the same) \| (.*?) \|", self.readme, re.M)
        (found,) = (number for number, (_, why) in enumerate(rows) if why.startswith(because))
        return next(shown for shown, _ in reversed(rows[: found + 1]) if shown)

    def _sh(self, script: str, folder: Path) -> CompletedProcess:
        own = {
            "PATH": f"{Path(sys.executable).parent}:$PATH",
            "GOCACHE": self.checkout / "go-cache",
            # Programs of a second's life: half of Java's time would go into making them quick.
            "JAVA_TOOL_OPTIONS": "'-XX:TieredStopAtLevel=1 -XX:+UseSerialGC'",
        }
        exports = "".join(f"export {name}={value}\n" for name, value in own.items())
        return run("sh", "-c", exports + script, cwd=folder, timeout=COMPILED_WITHIN)
