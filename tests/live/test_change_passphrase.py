"""The passphrase of a real installation: not while it serves, killed in the middle, and served again."""

import json
import os
import pty
import signal
import subprocess
import sys

import pytest

from pki.keystore import keystore_of
from tests.live.devices import Device
from tests.server import ROOT, Server, seen_within

NEW = "a new passphrase from a file"
MANY = 200  # keys, so that there is a middle


@pytest.fixture
def installation(tmp_path):
    """A server with a device, stopped."""
    server = Server(tmp_path / "var").start()
    Device.enrolled(server, tmp_path, "door")
    yield server
    if server.process.poll() is None:
        server.stop(signal.SIGKILL)


@pytest.fixture
def new_file(tmp_path):
    path = tmp_path / "new-passphrase"
    path.write_text(f"{NEW}\n")
    return path


def lets_in(server, tmp_path):
    return json.loads(Device("door", server, tmp_path).curl().stdout)["client"] == "door"


def key_files(server):
    return {path: path.read_bytes() for path in (server.data / "keys").glob("*.pem")}


def test_a_serving_hatchery_must_be_stopped_first_and_serves_the_same_devices_after(
    installation, tmp_path, new_file
):
    before = key_files(installation)
    words = ("change_passphrase", "--new-passphrase-file", str(new_file))
    refused = installation.manage(*words)
    assert refused.returncode == 1
    assert b"Stop Hatchery on this machine" in refused.stderr
    # It may have made more in the meantime.
    assert before.items() <= key_files(installation).items()
    assert lets_in(installation, tmp_path)

    assert installation.stop() == 0
    done = installation.manage(*words)
    assert done.returncode == 0, done.stderr
    assert NEW.encode() not in done.stdout + done.stderr
    assert (installation.data / "secrets" / "key-passphrase").read_text().strip() == NEW
    installation.start()
    assert lets_in(installation, tmp_path)
    Device.enrolled(installation, tmp_path, "window")


def test_a_worker_whose_master_was_killed_keeps_it_out_yet(installation, new_file):
    """Its keys are in use until the last process of it has gone."""
    children = f"/proc/{installation.process.pid}/task/{installation.process.pid}/children"
    with open(children) as file:
        workers = [int(word) for word in file.read().split()]
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    installation.stop(signal.SIGKILL)
    words = ("change_passphrase", "--new-passphrase-file", str(new_file))
    try:
        assert b"are in use" in installation.manage(*words).stderr
    finally:
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
    assert seen_within(20, lambda: installation.manage(*words).returncode == 0)


def test_killed_in_the_middle_and_run_again_it_has_changed_every_key(installation, tmp_path, new_file):
    assert installation.stop() == 0
    kept = installation.data / "secrets" / "key-passphrase"
    store = keystore_of(installation.data / "keys", kept.read_text().strip())
    references = [store.create("spare", "Ed25519") for _ in range(MANY)]
    public_keys = [store.public_key(reference) for reference in references]
    del store
    before = key_files(installation)

    running = subprocess.Popen(
        [sys.executable, "manage.py", "change_passphrase", "--new-passphrase-file", str(new_file)],
        cwd=ROOT,
        env=installation.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    first = min(before)
    assert seen_within(60, lambda: first.read_bytes() != before[first])
    running.kill()
    running.wait(timeout=20)
    changed = sum(pem != before[path] for path, pem in key_files(installation).items())
    assert 0 < changed < len(before)
    assert kept.read_text().strip() != NEW, "the old one is there for as long as a key has it"

    done = installation.manage("change_passphrase", "--generate")
    assert done.returncode == 0, done.stderr
    assert kept.read_text().strip() == NEW, "what was begun is ended"
    again = keystore_of(installation.data / "keys", NEW)
    assert [again.public_key(reference) for reference in references] == public_keys
    assert len(list((installation.data / "keys").iterdir())) == len(before)
    del again
    installation.start()
    assert lets_in(installation, tmp_path)


def type_in(server, *lines):
    """Run the command at a terminal, and type; what was on the screen, and the exit status."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "manage.py", "change_passphrase"],
        cwd=ROOT,
        env=server.environment,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0),
    )
    os.close(slave)
    screen, typed = b"", 0
    while True:
        try:
            read = os.read(master, 4096)
        except OSError:  # the other end is closed
            break
        if not read:
            break
        screen += read
        if typed < len(lines) and screen.count(b"assphrase") > typed and screen.rstrip().endswith(b":"):
            os.write(master, f"{lines[typed]}\n".encode())
            typed += 1
    os.close(master)
    return screen.decode(), process.wait(timeout=20)


def test_at_a_terminal_it_asks_twice_and_shows_nothing(installation):
    assert installation.stop() == 0
    screen, status = type_in(installation, NEW, f"{NEW}, mistyped")
    assert status == 1
    assert "two different passphrases. Nothing was changed." in screen
    screen, status = type_in(installation, "too short")
    assert status == 1
    assert "fewer than 20 characters" in screen
    screen, status = type_in(installation, NEW, NEW)
    assert status == 0
    assert NEW not in screen
    assert (installation.data / "secrets" / "key-passphrase").read_text().strip() == NEW


def test_without_a_terminal_or_a_file_it_asks_nobody(installation):
    assert installation.stop() == 0
    assert b"--new-passphrase-file" in installation.manage("change_passphrase").stderr


def test_one_that_a_setting_gives_is_set_by_hand_and_said_so(installation, tmp_path, new_file):
    assert installation.stop() == 0
    old_file = tmp_path / "old-passphrase"
    old_file.write_bytes((installation.data / "secrets" / "key-passphrase").read_bytes())
    installation.settings["PORTAL_KEY_PASSPHRASE_FILE"] = str(old_file)
    done = installation.manage("change_passphrase", "--new-passphrase-file", str(new_file))
    assert done.returncode == 0, done.stderr
    assert f"put it into {old_file}" in done.stdout.decode()
    # The settings first, and the command once more: the old one is told by hand then.
    installation.settings["PORTAL_KEY_PASSPHRASE_FILE"] = str(new_file)
    newer = tmp_path / "newer"
    newer.write_text("a third passphrase, of enough length")
    installation.settings["PORTAL_KEY_PASSPHRASE_FILE"] = str(newer)
    wrong = installation.manage("change_passphrase", "--new-passphrase-file", str(newer))
    assert b"the old one is wrong" in wrong.stderr
    done = installation.manage(
        "change_passphrase", "--new-passphrase-file", str(newer), "--old-passphrase-file", str(new_file)
    )
    assert done.returncode == 0, done.stderr
    installation.start()
    assert lets_in(installation, tmp_path)
