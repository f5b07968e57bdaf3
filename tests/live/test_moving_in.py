"""docs/moving-in.md, as written: a CA of plain OpenSSL moves in, and no device is touched."""

import re
import subprocess
import sys

import pytest
from cryptography import x509

from tests.clients import needs
from tests.live.pages import Step, here, page, steps
from tests.server import ROOT, Server, seen_within

PAGE = page("moving-in.md")
FOLDER = "/srv/old-ca"
SOON = 20.0  # seconds, generous: a list is there within five


def section(title: str) -> str:
    return re.search(rf"^##+ {re.escape(title)}\n(.*?)(?=^##+ |\Z)", PAGE, re.S | re.M)[1]


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """The CA of the page's last part."""
    needs("openssl", package="openssl")
    folder = tmp_path_factory.mktemp("old-ca")
    text = section("An example to try it with")
    (folder / "openssl.cnf").write_text(re.search(r"^```ini\n(.*?)^```", text, re.S | re.M)[1])
    for step in steps(text):
        done = subprocess.run(["sh", "-ec", step.command], cwd=folder, capture_output=True, timeout=60)
        assert done.returncode == 0, done
    return folder


@pytest.fixture(scope="module")
def moved(old, tmp_path_factory):
    """A new Hatchery, after the first step, started."""
    server = Server(tmp_path_factory.mktemp("moved"))
    server.copy_tables()  # what `migrate` does, from a copy, which takes seconds less
    before = {path.name: path.read_bytes() for path in old.iterdir() if path.is_file()}
    type_along(server, old, "1. Bring the CA and what it has issued")
    assert {path.name: path.read_bytes() for path in old.iterdir() if path.is_file()} == before
    server.start()
    yield server
    assert server.stop() == 0, server.output()


def type_along(server: Server, old, title: str) -> None:
    """The lines of a section, those for manage.py in our folder and the others in the CA's."""
    typed = steps(section(title))
    assert typed
    for step in typed:
        heard: list[object] = []

        def does(step: Step = step, heard: list[object] = heard) -> bool:
            ours = step.command.startswith(".venv/bin/python")
            command = here(step.command, server).replace(FOLDER, str(old))
            done = subprocess.run(
                ["sh", "-c", command.replace(".venv/bin/python", sys.executable)],
                cwd=ROOT if ours else old,
                env=server.environment,
                capture_output=True,
                timeout=60,
            )
            output = done.stdout.decode()
            heard[:] = [done]
            return done.returncode == step.status and all(line in output for line in step.prints)

        # Whoever asks a server may be a moment too early; whoever changes something is not asked twice.
        asks = step.command.startswith(("curl", "openssl ocsp"))
        assert seen_within(SOON, does) if asks else does(), (step, *heard)


def test_the_devices_go_on_and_the_next_one_enrolls(moved, old):
    for title in ("2. Start, and look", "3. Enroll the next device", "4. Put `openssl ca` away"):
        type_along(moved, old, title)
    said = '"reason": "certificate_revoked", "explanation": "This certificate was revoked (keyCompromise)."'
    assert moved.logs(said)
    assert "correct horse" not in moved.output()


def test_a_profile_comes_of_the_file(moved, old):
    type_along(moved, old, "A profile from a `.cnf`")


def test_a_ca_without_extensions_is_signed_again_under_its_own_name(moved, old):
    type_along(moved, old, "A CA without extensions")
    before, after = (
        x509.load_pem_x509_certificate((old / name).read_bytes()) for name in ("ca.pem", "ca-v3.pem")
    )
    assert after.subject.public_bytes() == before.subject.public_bytes()
    assert after.public_key() == before.public_key()
    verify = ["openssl", "verify", "-CAfile", "ca-v3.pem", "door-1.pem"]
    assert subprocess.run(verify, cwd=old, capture_output=True, timeout=60).returncode == 0
