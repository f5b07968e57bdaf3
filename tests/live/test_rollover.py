"""A root is replaced while the server runs: whichever root a client trusts, and under whichever its
certificate is, nobody is refused; and a root that is declared compromised is gone at once.
"""

import itertools
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients import needs, run
from tests.live.devices import Device
from tests.server import ROOT, Server, seen_within

NUMBERS = itertools.count()
# docs/rollover.md, "What a device does".
VERIFY = (
    *("openssl", "cms", "-verify", "-inform", "DER", "-in", "ca-bundle", "-verify_depth", "0"),
    *("-no-CApath", "-no-CAstore"),
)
WORKERS = 2  # of gunicorn, by default
SOON = 30.0  # seconds, generous: a worker looks every two


@dataclass
class Rollover:
    """A server with two roots, and what clients trust."""

    server: Server
    folder: Path
    before: Device  # enrolled under the old root

    def trusting(self, which: str) -> Path:
        return self.folder / f"{which}.pem"

    def fetch(self, listener: str, path: str, trusts: str, *words: str | Path) -> subprocess.CompletedProcess:
        ca = ("--cacert", self.trusting(trusts))
        return run("curl", "-sS", "--fail", *ca, *words, self.server.url(listener, path), cwd=self.folder)

    def is_served(self, device: Device, trusts: str) -> bool:
        mine = ("--cert", device.certificate, "--key", device.folder / f"{device.name}.key")
        done = self.fetch("secure", "/secure", trusts, *mine)
        return done.returncode == 0 and f'"client": "{device.name}"'.encode() in done.stdout


def with_two_roots(folder: Path) -> Rollover:
    server = Server(folder / "server", {"WEB_CONCURRENCY": "2"}).start()
    before = Device.enrolled(server, folder, "from-before")
    old = (server.demo / "ca.pem").read_text()
    new = server.inside("next_root")
    # What the workers do within a minute: the bundle names the new root.
    server.maintain()
    (folder / "old.pem").write_text(old)
    (folder / "new.pem").write_text(new)
    (folder / "both.pem").write_text(old + new)
    return Rollover(server, folder, before)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """The next root is there, and nothing has moved."""
    rollover = with_two_roots(tmp_path_factory.mktemp("begun"))
    yield rollover
    assert rollover.server.stop() == 0, rollover.server.output()


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """Listeners and new devices are under the new root."""
    rollover = with_two_roots(tmp_path_factory.mktemp("moved"))
    rollover.server.inside("move_to_next_issuer", "server", "device")
    assert seen_within(SOON, lambda: has_moved(rollover))
    yield rollover
    assert rollover.server.stop() == 0, rollover.server.output()


def has_moved(rollover: Rollover) -> bool:
    """Whether all workers show a certificate that they did not begin with: each says so, at its own time."""
    return rollover.server.output().count("The listener hello shows the certificate") == WORKERS


def issuer_shown(rollover: Rollover) -> str:
    """Whether what /hello shows is by an issuing CA under the old root or under the new one."""
    done = run(
        *("openssl", "s_client", "-connect", f"localhost:{rollover.server.ports['hello']}"),
        stdin=b"",
    )
    issuer = next(line for line in done.stdout.decode().splitlines() if line.startswith("issuer="))
    return "new" if issuer.endswith(" G2") else "old"


@pytest.mark.parametrize("trusts", ["old", "new", "both"])
def test_whichever_root_a_client_trusts_it_verifies_the_listeners_before_they_move(begun, trusts):
    assert issuer_shown(begun) == "old"
    # The first time that a worker shows the cross-certificate may be a moment after it was made.
    assert seen_within(SOON, lambda: begun.fetch("hello", "/hello", trusts).returncode == 0)
    assert seen_within(SOON, lambda: begun.fetch("provisioning", "/ca-bundle", trusts).returncode == 0)
    assert seen_within(SOON, lambda: begun.is_served(begun.before, trusts))


@pytest.mark.parametrize("trusts", ["old", "new", "both"])
def test_whichever_root_a_client_trusts_it_verifies_the_listeners_after_they_moved(moved, trusts):
    assert moved.fetch("hello", "/hello", trusts).returncode == 0
    assert moved.fetch("provisioning", "/ca-bundle", trusts).returncode == 0
    assert moved.is_served(moved.before, trusts)


@pytest.mark.parametrize("trusts", ["old", "new", "both"])
def test_openssl_verifies_the_listeners_strictly(moved, trusts):
    done = run(
        *("openssl", "s_client", "-x509_strict", "-verify_return_error", "-verify_hostname", "localhost"),
        *("-CAfile", moved.trusting(trusts), "-no-CApath", "-no-CAstore"),
        *("-connect", f"localhost:{moved.server.ports['hello']}"),
        stdin=b"",
    )
    assert b"Verification: OK" in done.stdout, done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize("trusts", ["old", "new"])
def test_gnutls_verifies_the_listeners(moved, trusts):
    gnutls = needs("gnutls-cli", package="gnutls-bin")
    done = run(
        *(
            gnutls,
            "--x509cafile",
            moved.trusting(trusts),
            "-p",
            str(moved.server.ports["hello"]),
            "localhost",
        ),
        stdin=b"",
    )
    assert b"Status: The certificate is trusted." in done.stdout, done.stdout


@pytest.mark.parametrize("trusts", ["old", "new", "both"])
def test_devices_of_both_roots_are_accepted_side_by_side(moved, trusts):
    after = Device.enrolled(moved.server, moved.folder, f"from-after-{next(NUMBERS)}")
    assert after.certificate.read_text().count("BEGIN CERTIFICATE") == 3, "itself, its issuer, the bridge"
    assert moved.is_served(after, trusts)
    assert moved.is_served(moved.before, trusts)


@pytest.mark.parametrize("trusts", ["old", "new"])
@pytest.mark.parametrize("listener", ["provisioning", "secure", "status"])
def test_a_device_gets_both_roots_by_whichever_it_has(moved, trusts, listener):
    """docs/rollover.md, "What a device does"."""
    mine = ("--cert", moved.before.certificate, "--key", moved.folder / "from-before.key")
    shown = run("openssl", "x509", "-in", moved.trusting(trusts), "-noout", "-fingerprint", "-sha256")
    root = shown.stdout.decode().strip().partition("=")[2]
    done = moved.fetch(listener, f"/ca-bundle?root={root}", trusts, *mine, "-o", "ca-bundle")
    assert done.returncode == 0, done.stderr
    done = run(*VERIFY, "-CAfile", moved.trusting(trusts), "-out", "ca.pem.new", cwd=moved.folder)
    assert done.returncode == 0, done.stderr
    text = (moved.folder / "ca.pem.new").read_text()
    for which in ("old", "new"):
        assert moved.trusting(which).read_text().strip() in text


@pytest.mark.parametrize("how", ["ocsp", "crl"])
@pytest.mark.parametrize("trusts", ["old", "new"])
def test_java_verifies_a_device_of_the_new_root_and_asks_about_the_bridge(moved, tmp_path, trusts, how):
    java, javac = (needs(program, package="default-jdk-headless") for program in ("java", "javac"))
    assert run(javac, "-d", tmp_path, ROOT / "examples" / "java" / "Validate.java").returncode == 0
    device = Device.enrolled(moved.server, tmp_path, f"javanese-{next(NUMBERS)}")
    asked = (java, "-cp", tmp_path, "Validate", how, moved.trusting(trusts), device.certificate)
    assert seen_within(SOON, lambda: run(*asked).stdout == b"good\n"), run(*asked).stdout


def test_a_root_that_is_declared_compromised_is_gone_at_once(tmp_path):
    rollover = with_two_roots(tmp_path)
    try:
        rollover.server.inside("move_to_next_issuer", "server", "device")
        assert seen_within(SOON, lambda: has_moved(rollover))
        after = Device.enrolled(rollover.server, tmp_path, "from-after")
        for device in (rollover.before, after):
            assert rollover.is_served(device, "both")
        before = rollover.fetch("status", "/ca-bundle", "both", "-D", "-", "-o", "ca-bundle").stdout
        rollover.server.inside("declare_first_root_compromised")
        # From the next request on.
        assert not rollover.is_served(rollover.before, "both")
        assert rollover.is_served(after, "new")
        now = rollover.fetch("status", "/ca-bundle", "both", "-D", "-", "-o", "ca-bundle").stdout
        assert version_in(now) > version_in(before)
        assert run(*VERIFY, "-CAfile", "old.pem", cwd=tmp_path).returncode != 0
        said = run(*VERIFY, "-CAfile", "new.pem", cwd=tmp_path)
        assert said.returncode == 0
        assert said.stdout.count(b"BEGIN CERTIFICATE") == 1
        # Workers show the bridge no more, so that who trusts only the lost root learns of it.
        assert seen_within(SOON, lambda: rollover.fetch("hello", "/hello", "old").returncode == 60)
        assert rollover.fetch("hello", "/hello", "new").returncode == 0
    finally:
        assert rollover.server.stop() == 0, rollover.server.output()


def version_in(headers: bytes) -> int:
    lines = headers.decode().lower().splitlines()
    return int(next(line for line in lines if line.startswith("hatchery-bundle-version: ")).split()[1])
