"""Pages of docs/ as written: their shell lines, in their order, and what they say that these print."""

import re
import subprocess
import sys
from dataclasses import dataclass, field

from tests.server import LISTENERS, ROOT, Server, seen_within

DEFAULT_PORTS = dict(zip(("8443", "8444", "8445", "8446", "8080"), LISTENERS, strict=True))
SOON = 20.0  # seconds, generous: what takes its time is a list, and the page says how long


@dataclass
class Step:
    """A command, what it prints, each line in part, and its exit status."""

    command: str
    prints: list[str] = field(default_factory=list)
    status: int = 0


def steps(page: str) -> list[Step]:
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
    text = re.sub(r"(?<=:)\d{4}\b", lambda match: str(server.ports[DEFAULT_PORTS[match[0]]]), text)
    return text.replace("../../.venv/bin/python", sys.executable).replace("../../", f"{ROOT}/")


def said(server: Server, *command: str, stdin: str = "") -> tuple[int, str]:
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


def holds(step: Step, server: Server) -> None:
    """Whether a step prints what the page says, soon."""
    heard = []

    def does() -> bool:
        status, output = said(server, "sh", "-c", here(step.command, server))
        heard[:] = [status, output]
        return status == step.status and all(here(line, server) in output for line in step.prints)

    assert seen_within(SOON, does), (step, *heard)
