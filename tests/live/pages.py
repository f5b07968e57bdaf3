"""Pages of docs/ that can be typed along: their lines, in their order, and what they say that these print."""

import re
import subprocess
import sys
from dataclasses import dataclass, field

from tests.server import LISTENERS, ROOT, Server, seen_within

DEFAULT_PORTS = dict(zip(("8443", "8444", "8445", "8446", "8080"), LISTENERS, strict=True))
SOON = 20.0  # seconds, generous: what takes its time is said on the page


@dataclass
class Step:
    """A command, what it prints, each line in part, and its exit status."""

    command: str
    prints: list[str] = field(default_factory=list)
    status: int = 0


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def steps(page: str) -> list[Step]:
    """The lines of a page's blocks of shell."""
    found: list[Step] = []
    for line in "".join(re.findall(r"^```sh\n(.*?)^```", page, re.S | re.M)).splitlines():
        if line.startswith("# exit "):
            found[-1].status = int(line.removeprefix("# exit "))
        elif line.startswith("# "):
            found[-1].prints.append(line[2:])
        else:
            found.append(Step(line))
    return found


def here(text: str, server: Server) -> str:
    """What the page says, with the ports and folders of this server."""
    # Only these: `rsa:2048` is no port.
    ports = rf"(?<=:)(?:{'|'.join(DEFAULT_PORTS)})\b"
    text = re.sub(ports, lambda match: str(server.ports[DEFAULT_PORTS[match[0]]]), text)
    return text.replace("../../.venv/bin/python", sys.executable).replace("../../", f"{ROOT}/")


def said(server: Server, *command: str, stdin: str = "") -> tuple[int, str]:
    """A command's exit status and output, in the folder of the demo device."""
    done = subprocess.run(
        command,
        cwd=server.demo,
        env=server.environment,
        input=stdin,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
    )
    return done.returncode, done.stdout


def walk(server: Server, page: str) -> None:
    """Type a page's lines, and hold what they print against what it says; a line may take SOON to be true."""
    for step in steps(page):
        heard: list[object] = []

        def does(step: Step = step, heard: list[object] = heard) -> bool:
            status, output = said(server, "sh", "-c", here(step.command, server))
            heard[:] = [status, output]
            return status == step.status and all(here(line, server) in output for line in step.prints)

        assert seen_within(SOON, does), (step, *heard)
