"""`manage.py maintain` in a process of its own: what it prints, its exit status, and how it ends."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.server import ROOT, Server, seen_within
from tests.services.receivers import Receiver


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    """One that is migrated and bootstrapped, without the demo, and may tell this machine."""
    folder = tmp_path_factory.mktemp("maintained")
    settings = {"DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}", "PORTAL_WEBHOOK_NETWORKS": "127.0.0.1"}
    made = Server(folder, settings)
    made.copy_tables()
    assert made.manage("bootstrap", "--no-demo").returncode == 0
    return made


class Maintaining:
    """`manage.py maintain --every TIME`, until it is stopped."""

    def __init__(self, installation, every):
        self.process = subprocess.Popen(
            [sys.executable, "-u", "manage.py", "maintain", "--every", every],
            cwd=ROOT,
            env=installation.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines = []
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stdout))
        self.reader.start()

    def rounds(self):
        return sum(line.startswith("old notices:") for line in self.lines)

    def has_done(self, rounds):
        return seen_within(60, lambda: self.rounds() >= rounds)


@pytest.fixture
def maintaining(installation):
    started = []

    def start(every):
        started.append(Maintaining(installation, every))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.process.wait()
        each.reader.join()
        each.process.stdout.close()


def test_once_says_what_each_task_did(installation):
    done = installation.manage("maintain")
    assert done.returncode == 0, done.stderr
    said = dict(line.split(": ", 1) for line in done.stdout.decode().splitlines())
    assert said["expiry watch"] == "0 notices"
    assert said["full CRLs"].endswith(" made")
    assert "failed" not in done.stdout.decode()


def test_a_task_that_fails_is_in_the_exit_status_and_the_others_are_done(installation):
    hidden = installation.data / "keys-elsewhere"
    keys = installation.data / "keys"
    assert installation.manage("maintain").returncode == 0
    installation.inside("forget_lists")
    keys.rename(hidden)
    keys.write_text("no folder")
    try:
        done = installation.manage("maintain")
    finally:
        keys.unlink()
        hidden.rename(keys)
    assert done.returncode == 1
    said = dict(line.split(": ", 1) for line in done.stdout.decode().splitlines())
    assert any(words.startswith("failed: ") for words in said.values())
    assert said["old notices"] == "0 forgotten"


def test_without_a_database_each_says_so(installation, tmp_path):
    elsewhere = Server(tmp_path, {"DATABASE_URL": f"sqlite:///{tmp_path / 'none' / 'db.sqlite3'}"})
    done = elsewhere.manage("maintain")
    assert done.returncode == 1
    assert b"The database cannot be used" in done.stdout
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("every", ["0s", "soon", "60", "-5s"])
def test_a_pause_that_is_none_is_refused(installation, every):
    done = installation.manage("maintain", f"--every={every}")
    assert done.returncode == 2
    assert b"is no time" in done.stderr


def test_it_goes_on_and_on(maintaining):
    assert maintaining("1s").has_done(2)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_while_it_waits(maintaining, sent):
    running = maintaining("1h")
    assert running.has_done(1)
    began = time.monotonic()
    running.process.send_signal(sent)
    assert running.process.wait(30) == 0
    assert time.monotonic() - began < 20
    assert seen_within(5, lambda: "Ended.\n" in running.lines)
    assert not any("Traceback" in line for line in running.lines)


def test_it_ends_after_the_task_that_it_is_at(installation, maintaining):
    inside, may_end = threading.Event(), threading.Event()

    def hold():
        inside.set()
        may_end.wait(30)

    with Receiver(before=hold).listening() as receiver:
        installation.inside("tell", receiver.url())
        running = maintaining("1h")
        assert inside.wait(60)
        running.process.send_signal(signal.SIGTERM)
        # It is still sending.
        with pytest.raises(subprocess.TimeoutExpired):
            running.process.wait(0.5)
        may_end.set()
        assert running.process.wait(30) == 0
    assert seen_within(5, lambda: "deliveries: 1 delivered\n" in running.lines)
    assert running.rounds() == 0


def test_nobody_changes_the_passphrase_while_one_waits_that_may_make_keys(installation, maintaining):
    running = maintaining("10m")
    assert running.has_done(1)
    before = {key: key.read_bytes() for key in (installation.data / "keys").iterdir()}
    refused = installation.manage("change_passphrase", "--generate")
    assert refused.returncode == 1
    assert b"Traceback" not in refused.stderr
    assert {key: key.read_bytes() for key in (installation.data / "keys").iterdir()} == before
