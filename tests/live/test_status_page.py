"""docs/status.md, as written: each of its lines, in its order, and what it says that they print."""

import re
import subprocess
import sys
from dataclasses import dataclass, field

import pytest

from tests.clients import needs
from tests.server import LISTENERS, ROOT, Server, seen_within

PAGE = (ROOT / "docs" / "status.md").read_text()
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


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """What `make serve` has just made."""
    for program, package in (("ocsptool", "gnutls-bin"), ("java", "default-jdk-headless")):
        needs(program, package=package)
    running = Server(tmp_path_factory.mktemp("page")).start()
    yield running
    assert running.stop() == 0, running.output()


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


def test_the_shell_lines_of_the_page_print_what_it_says(fresh):
    for step in steps(PAGE):
        heard = []

        def does(step=step, heard=heard) -> bool:
            status, output = said(fresh, "sh", "-c", here(step.command, fresh))
            heard[:] = [status, output]
            return status == step.status and all(here(line, fresh) in output for line in step.prints)

        assert seen_within(SOON, does), (step, *heard)


def test_the_python_of_the_page_reads_lists_and_cas(fresh):
    """Two CAs and their two lists, as the page has had them fetched and verified before."""
    fetching = [step.command for step in steps(PAGE) if step.command.startswith("../../examples/")]
    assert len(fetching) == 2
    for command in fetching:
        assert said(fresh, "sh", "-c", here(command, fresh)) == (0, "")
    (program,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.S | re.M)
    status, output = said(fresh, sys.executable, "-", stdin=here(program, fresh))
    assert status == 0, output
    assert output == "{'x509': 2, 'crl': 2, 'x509_ca': 2}\n"
