"""docs/backup.md: its lines, from a backup to the same authority elsewhere, and under other passphrases."""

import shutil

import pytest

from tests.docs.blocks import block, commands
from tests.live.sandbox import Sandbox
from tests.live.test_change_passphrase import type_in
from tests.server import ROOT, Server

PAGE = "docs/backup.md"


@pytest.fixture
def installation(tmp_path):
    """One whose passphrase is its own affair, and that nothing serves."""
    server = Server(tmp_path / "var")
    server.data.mkdir()
    server.copy_tables()
    assert server.manage("bootstrap", "--no-demo").returncode == 0
    return server


def lines(beginning):
    return commands(block(PAGE, beginning))


def test_the_lines_of_the_page_work_as_written(installation, tmp_path):
    machine = Sandbox(tmp_path / "machine", installation)
    kept = installation.data / "secrets" / "key-passphrase"
    shutil.copy(kept, machine.folder / "from/the/safe/passphrase")
    (machine.folder / "etc/hatchery").mkdir()

    # Another passphrase: made, asked for, from a file.
    machine.did("\n".join(lines(".venv/bin/python manage.py backup")), ROOT)
    stop, generate, asking, *from_a_file = lines("systemctl stop hatchery\n.venv")
    before = kept.read_text()
    machine.did(f"{stop}\n{generate}", ROOT)
    assert kept.read_text() not in ("", before)
    assert asking.endswith("manage.py change_passphrase")
    typed = "what somebody types there"
    screen, status = type_in(installation, typed, typed)
    assert status == 0, screen
    machine.did("\n".join(from_a_file), ROOT)
    assert kept.read_text() == (machine.folder / "etc/hatchery/passphrase").read_text()

    # Another SECRET_KEY.
    secret = installation.data / "secrets" / "secret-key"
    before = secret.read_text()
    machine.did("\n".join(lines("systemctl stop hatchery\nrm")), tmp_path)
    assert not secret.exists()
    installation.token("--device", "door-1")
    assert secret.read_text() not in ("", before)

    # Elsewhere, by the passphrase of that day.
    elsewhere = machine.server = Server(tmp_path / "elsewhere")
    machine.did("\n".join(lines("(umask 077; cp")), ROOT)
    names = {path.name for path in (installation.data / "keys").iterdir()}
    assert names <= {path.name for path in (elsewhere.data / "keys").iterdir()}
    asked = machine.notes.read_text().splitlines()
    assert asked.count("systemctl stop hatchery") == asked.count("systemctl start hatchery") == 2
    assert "createdb hatchery" in asked
