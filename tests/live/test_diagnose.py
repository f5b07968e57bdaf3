"""The doctor at a real Hatchery: its listeners, whom they refuse, and the commands of docs/diagnose.md."""

import json
import re

import pytest

from tests.live.devices import Device
from tests.live.test_handshakes import strangers_certificate
from tests.server import ROOT, Server
from tests.services.test_what_clients_say import rows, said

PAGE = (ROOT / "docs" / "diagnose.md").read_text()
README = (ROOT / "README.md").read_text()
COMMAND = re.compile(
    r"^(?:\.venv/bin/)?python manage\.py diagnose (.*\S) +# exit status ([0-9])$", re.MULTILINE
)


def diagnosed(server: Server, *lines: str) -> list[tuple[int, str]]:
    """The exit status and the output of each line of words, all by one process."""
    printed = server.inside("diagnose_each", stdin="\n".join(lines).encode())
    return [(status, output) for status, output in map(json.loads, printed.splitlines())]


def codes(output: str) -> set[str]:
    return {
        finding["code"]
        for each in json.loads(output)["looked_at"]
        for finding in [*each["findings"], *(one for part in each["parts"] for one in part["findings"])]
    }


def test_the_commands_of_the_pages_end_as_they_say(server):
    commands = COMMAND.findall(README + PAGE)
    assert len(commands) == (README + PAGE).count("python manage.py diagnose ") >= 9
    ports = {str(default): server.ports[name] for default, name in DEFAULTS.items()}
    here = [
        re.sub(r"(?<=localhost:)[0-9]+", lambda found: str(ports[found[0]]), words).replace(
            "var/demo/", f"{server.demo}/"
        )
        for words, _ in commands
    ]
    ended = diagnosed(server, *here)
    assert [(words, status) for words, (status, _) in zip(here, ended, strict=True)] == [
        (words, int(status)) for words, (_, status) in zip(here, commands, strict=True)
    ]
    # What the page shows of one of them, but for what differs from one Hatchery to the next.
    shown = PAGE.split("```\nlocalhost:8444\n")[1].split("```")[0]
    (printed,) = (
        output for words, (_, output) in zip(here, ended, strict=True) if words.endswith(f":{ports['8444']}")
    )
    for line in shown.splitlines():
        kept = re.split(r"Hatchery|\u2026|:84|127", line)[0].rstrip()
        assert kept in printed, line


DEFAULTS = {8443: "hello", 8444: "secure", 8445: "provisioning", 8446: "console", 8080: "status"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("doctor")


def test_what_our_own_listeners_refuse_is_named(server, folder):
    revoked = Device.enrolled(server, folder, "doctors-revoked")
    server.revoke("doctors-revoked")
    strangers_certificate(folder, "doctors-stranger")
    stranger = folder / "doctors-stranger"
    secure, status = (f"localhost:{server.ports[name]} --json" for name in ("secure", "status"))
    shows = "{} --cert {}.pem --key {}.key"
    (_, at_revoked), (_, at_stranger), (wrong, at_wrong), (plain, at_plain) = diagnosed(
        server,
        shows.format(secure, revoked.folder / revoked.name, revoked.folder / revoked.name),
        shows.format(secure, stranger, stranger),
        f"{secure} --cacert {stranger}.pem",
        f"{status} --timeout 2",
    )
    assert {"certificate_revoked", "client_certificate_refused"} <= codes(at_revoked)
    (promised,) = said(rows()["certificate_revoked"], "curl")
    assert promised in revoked.curl().stderr.decode()
    assert {"self_signed", "client_ca_unknown", "client_certificate_not_acceptable"} <= codes(at_stranger)
    assert {"trust_store_lacks_ca", "client_certificate_not_sent", "ours"} <= codes(at_wrong)
    assert (wrong, plain, codes(at_plain)) == (1, 1, {"plain_http"})


def test_the_program_itself_ends_with_the_status(server):
    done = server.manage("diagnose", "no-such-file.pem")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"no-such-file.pem cannot be read" in done.stderr
