"""`manage.py backup` and `manage.py restore`: what they refuse, and what is left when they are killed."""

import dataclasses
import fcntl
import gzip
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing

import pytest

from pki.keystore import keystore_of
from tests.clients import make_csr
from tests.server import ROOT, Server, seen_within
from tests.shell.backups import rebuilt
from tests.shell.test_manage import on_sqlite, sentence_of

PASSPHRASE = "the passphrase of this installation"


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    """One with a certificate, whose passphrase is in a file elsewhere."""
    folder = tmp_path_factory.mktemp("installation")
    (folder / "passphrase").write_text(PASSPHRASE)
    made = with_passphrase(Server(folder / "var"), folder / "passphrase")
    made.data.mkdir()
    made.copy_tables()
    assert made.manage("bootstrap", "--no-demo").returncode == 0
    made.token("--device", "door-1")
    issued = made.manage("issue", "--device", "door-1", "--csr", "-", stdin=make_csr("door-1"))
    assert issued.returncode == 0, issued.stderr
    assert made.manage("audit", "seal").returncode == 0
    return made


def with_passphrase(server, file):
    server.settings |= {
        "PORTAL_KEY_PASSPHRASE_FILE": str(file),
        "DATABASE_URL": f"sqlite:///{server.data / 'db.sqlite3'}",
    }
    return server


@pytest.fixture(scope="module")
def backup(installation):
    path = installation.data.parent / "backup.tar.gz"
    done = installation.manage("backup", str(path))
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture
def empty(installation, tmp_path):
    """A place to restore into, with the passphrase."""
    return with_passphrase(Server(tmp_path / "new"), installation.data.parent / "passphrase")


def is_untouched(server):
    data = server.data
    names = {path.name for path in data.iterdir()} if data.exists() else set()
    return not names - {"secrets", "bootstrap.lock"}


def devices_of(server):
    with closing(sqlite3.connect(server.data / "db.sqlite3")) as database:
        return [name for (name,) in database.execute("SELECT name FROM pki_device ORDER BY name")]


# --- Making one -----------------------------------------------------------------------------------


def test_a_backup_is_its_owners_alone_and_says_where_the_passphrase_is(installation, tmp_path):
    done = installation.manage("backup", str(tmp_path / "b.tar.gz"))
    assert (
        f"PORTAL_KEY_PASSPHRASE_FILE names, {installation.data.parent / 'passphrase'}" in done.stdout.decode()
    )
    assert stat.S_IMODE((tmp_path / "b.tar.gz").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["b.tar.gz"]


def test_a_backup_holds_no_passphrase_unless_it_is_asked_to(installation, backup, tmp_path):
    assert PASSPHRASE.encode() not in gzip.decompress(backup.read_bytes())
    done = installation.manage("backup", "--with-passphrase", str(tmp_path / "b.tar.gz"))
    assert b"whoever has this file has the CA" in done.stdout
    assert PASSPHRASE.encode() in gzip.decompress((tmp_path / "b.tar.gz").read_bytes())
    assert PASSPHRASE.encode() not in done.stdout + done.stderr


@pytest.mark.parametrize("there", ["file", "folder", "dangling link"])
def test_a_backup_overwrites_nothing(installation, tmp_path, there):
    path = tmp_path / "b.tar.gz"
    {
        "file": lambda: path.write_bytes(b"precious"),
        "folder": path.mkdir,
        "dangling link": lambda: path.symlink_to(tmp_path / "nowhere"),
    }[there]()
    assert "never overwritten" in sentence_of(installation.manage("backup", str(path)))
    assert not (tmp_path / "nowhere").exists()
    if there == "file":
        assert path.read_bytes() == b"precious"


def test_a_folder_that_is_not_there_is_one_sentence(installation, tmp_path):
    assert "cannot be written" in sentence_of(
        installation.manage("backup", str(tmp_path / "no" / "b.tar.gz"))
    )


def test_a_killed_backup_leaves_nothing_that_looks_like_one_and_the_next_clears_it_away(
    installation, tmp_path
):
    path = tmp_path / "b.tar.gz"
    running = subprocess.Popen(
        [sys.executable, "manage.py", "backup", str(path)],
        cwd=ROOT,
        env=installation.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert seen_within(60, lambda: any(tmp_path.iterdir()))
    running.kill()
    running.wait(timeout=20)
    assert not path.exists()
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".hatchery-backup-")
    assert stat.S_IMODE(left.stat().st_mode) == 0o700
    assert installation.manage("backup", str(path)).returncode == 0
    assert list(tmp_path.iterdir()) == [path]


def test_what_only_looks_like_a_killed_backup_is_no_obstacle_and_stays(installation, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (tmp_path / ".hatchery-backup-link").symlink_to("precious")
    (tmp_path / ".hatchery-backup-dangling").symlink_to("nowhere")
    (tmp_path / ".hatchery-backup-file").touch()
    living = tmp_path / ".hatchery-backup-living"
    living.mkdir()
    there = set(tmp_path.rglob("*"))
    descriptor = os.open(living, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        done = installation.manage("backup", str(tmp_path / "b.tar.gz"))
    finally:
        os.close(descriptor)
    assert done.returncode == 0, done.stderr
    assert set(tmp_path.rglob("*")) == there | {tmp_path / "b.tar.gz"}


@pytest.mark.parametrize("which", ["issuer-*", "listener-hello-*"])
def test_a_key_that_does_not_open_is_named_and_no_backup_is_made(installation, tmp_path, which):
    """It could not be restored."""
    copy = with_passphrase(Server(tmp_path / "copy"), installation.data.parent / "passphrase")
    shutil.copytree(installation.data, copy.data)
    key = min((copy.data / "keys").glob(f"{which}.pem"))
    key.write_bytes(key.read_bytes()[:200])
    assert str(key) in sentence_of(copy.manage("backup", str(tmp_path / "b.tar.gz")))
    assert not (tmp_path / "b.tar.gz").exists()


def test_a_damaged_database_makes_no_backup(installation, tmp_path):
    copy = with_passphrase(Server(tmp_path / "copy"), installation.data.parent / "passphrase")
    shutil.copytree(installation.data, copy.data)
    with closing(sqlite3.connect(copy.data / "db.sqlite3")) as database:
        (page,) = database.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'pki_certificate'"
        ).fetchone()
        (size,) = database.execute("PRAGMA page_size").fetchone()
    with (copy.data / "db.sqlite3").open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    said = sentence_of(copy.manage("backup", str(tmp_path / "b.tar.gz")))
    assert "damaged" in said or "malformed" in said
    assert not (tmp_path / "b.tar.gz").exists()


# --- Restoring one --------------------------------------------------------------------------------


def test_what_was_saved_comes_back(backup, empty):
    done = empty.manage("restore", str(backup))
    assert done.returncode == 0, done.stderr
    assert devices_of(empty) == ["door-1"]
    again = empty.manage("bootstrap", "--no-demo")
    assert again.stdout == b"Everything is there already.\n", again.stderr
    left = {path.name for path in empty.data.iterdir()} - {"bootstrap.lock", "db.sqlite3.lock"}
    assert left == {"db.sqlite3", "keys", "secrets"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in empty.data.rglob("*"))
    proven = empty.manage("audit", "verify")
    assert proven.returncode == 0, "the key for checkpoints came back too"
    assert proven.stdout.splitlines()[-1].startswith(b"PROVEN")


def test_with_its_passphrase_it_needs_nothing_else(installation, tmp_path):
    path = tmp_path / "b.tar.gz"
    assert installation.manage("backup", "--with-passphrase", str(path)).returncode == 0
    bare = on_sqlite(tmp_path / "bare")
    done = bare.manage("restore", str(path))
    assert done.returncode == 0, done.stderr
    assert (bare.data / "secrets" / "key-passphrase").read_text().strip() == PASSPHRASE
    assert bare.manage("bootstrap", "--no-demo").stdout == b"Everything is there already.\n"


def test_the_secret_key_comes_back_unless_another_is_set(installation, backup, empty):
    then = (installation.data / "secrets" / "secret-key").read_bytes()
    assert empty.manage("restore", str(backup)).returncode == 0
    assert (empty.data / "secrets" / "secret-key").read_bytes() == then


def test_a_passphrase_that_is_set_and_is_not_the_backups_is_refused_even_if_that_is_there(
    installation, tmp_path
):
    path, other = tmp_path / "b.tar.gz", tmp_path / "other"
    other.write_text("another passphrase, of enough length")
    assert installation.manage("backup", "--with-passphrase", str(path)).returncode == 0
    place = with_passphrase(Server(tmp_path / "new"), other)
    assert "another one is set" in sentence_of(place.manage("restore", str(path)))
    assert is_untouched(place)


def test_without_the_passphrase_it_is_refused_and_says_what_to_set(backup, tmp_path):
    bare = on_sqlite(tmp_path / "bare")
    said = sentence_of(bare.manage("restore", str(backup)))
    assert "No passphrase is set, and this backup does not hold its own. Set PORTAL_KEY_PASS" in said
    assert is_untouched(bare)


def test_a_restore_makes_no_passphrase_that_could_be_taken_for_the_backups(installation, backup, tmp_path):
    bare = on_sqlite(tmp_path / "bare")
    assert bare.manage("restore", str(backup)).returncode == 1
    with_passphrase(bare, installation.data.parent / "passphrase")
    done = bare.manage("restore", str(backup))
    assert done.returncode == 0, done.stderr
    assert not (bare.data / "secrets" / "key-passphrase").exists()


def test_a_passphrase_that_lies_in_its_place_is_taken(backup, tmp_path):
    bare = on_sqlite(tmp_path / "bare")
    (bare.data / "secrets").mkdir(parents=True)
    (bare.data / "secrets" / "key-passphrase").write_text(f"{PASSPHRASE}\n")
    done = bare.manage("restore", str(backup))
    assert done.returncode == 0, done.stderr
    assert bare.manage("bootstrap", "--no-demo").stdout == b"Everything is there already.\n"


def test_a_place_that_has_a_database_is_refused(installation, backup):
    before = (installation.data / "db.sqlite3").read_bytes()
    assert "already" in sentence_of(installation.manage("restore", str(backup)))
    assert (installation.data / "db.sqlite3").read_bytes() == before


def test_a_place_that_has_other_keys_is_refused(backup, empty):
    keystore_of(empty.data / "keys", PASSPHRASE).create("issuer", "P-256")
    (before,) = (empty.data / "keys").iterdir()
    assert "other keys" in sentence_of(empty.manage("restore", str(backup)))
    assert list((empty.data / "keys").iterdir()) == [before]
    assert not (empty.data / "db.sqlite3").exists()


def test_what_a_killed_restore_left_is_no_obstacle(backup, empty):
    """It had put keys into their place, and was at work on the database beside its own."""
    assert empty.manage("restore", str(backup)).returncode == 0
    (empty.data / "db.sqlite3").rename(empty.data / "db.sqlite3.restoring")
    (empty.data / ".restoring" / "keys").mkdir(parents=True)
    min((empty.data / "keys").iterdir()).unlink()
    done = empty.manage("restore", str(backup))
    assert done.returncode == 0, done.stderr
    assert devices_of(empty) == ["door-1"]
    assert not list(empty.data.glob("*.restoring*"))
    assert not (empty.data / ".restoring").exists()


# `manage.py` that is gone, as if killed, at one of the moments when it waits for the disk.
KILLED = """
import os, sys
moment, wait = int(sys.argv.pop(1)), os.fsync
def fsync(descriptor):
    global moment
    if moment == 0:
        os._exit(9)
    moment -= 1
    wait(descriptor)
os.fsync = fsync
import manage
manage.main()
"""


def test_killed_at_any_moment_it_can_be_run_again(backup, empty):
    """Each try finds what the one before it left, and comes a little further."""
    killed = 0
    for moment in range(1, 100, 2):
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(moment), "restore", str(backup)],
            cwd=ROOT,
            env=empty.environment,
            capture_output=True,
            timeout=60,
        )
        if done.returncode == 0:
            break
        assert done.returncode == 9, done.stderr
        assert not (empty.data / "db.sqlite3").exists(), "it comes last: nothing can be served before"
        killed += 1
    assert killed > 3
    assert devices_of(empty) == ["door-1"]
    assert {path.suffix for path in (empty.data / "keys").iterdir()} == {".pem"}
    assert empty.manage("bootstrap", "--no-demo").stdout == b"Everything is there already.\n"


def newer(manifest, folder):
    return dataclasses.replace(manifest, version="9.9", migrations=(*manifest.migrations, "pki.9999_future"))


def of_postgresql(manifest, folder):
    return dataclasses.replace(manifest, database="postgresql")


def with_a_damaged_key(manifest, folder):
    key = min((folder / "keys").glob("issuer-*.pem"))
    key.write_bytes(key.read_bytes()[:200])
    return manifest


def with_exchanged_keys(manifest, folder):
    one, other = sorted((folder / "keys").glob("issuer-*.pem"))
    first = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(first)
    return manifest


def without_an_issuers_key(manifest, folder):
    gone = f"keys/{min((folder / 'keys').glob('issuer-*.pem')).name}"
    files = {name: file for name, file in manifest.files.items() if name != gone}
    return dataclasses.replace(manifest, files=files)


def with_a_damaged_database(manifest, folder):
    database = folder / "database.sqlite3"
    database.write_bytes(database.read_bytes()[: 5 * 4096])
    return manifest


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (newer, "newer Hatchery (9.9"),
        (of_postgresql, "same kind"),
        (with_a_damaged_key, "does not open"),
        (with_exchanged_keys, "not that of its certificate"),
        (without_an_issuers_key, "cannot be read"),
        (with_a_damaged_database, "damaged"),
    ],
)
def test_a_backup_that_cannot_be_served_is_refused_before_anything_is_written(
    backup, empty, tmp_path, change, why
):
    altered = rebuilt(backup, tmp_path / "altered.tar.gz", PASSPHRASE, change)
    assert why in sentence_of(empty.manage("restore", str(altered)))
    assert is_untouched(empty)


def test_a_backup_that_was_altered_by_who_has_no_passphrase_is_refused(backup, empty, tmp_path):
    altered = rebuilt(backup, tmp_path / "altered.tar.gz", "the passphrase of a stranger", lambda it, _: it)
    assert "or the backup was altered" in sentence_of(empty.manage("restore", str(altered)))
    assert is_untouched(empty)


@pytest.mark.parametrize("what", ["cut off", "another file", "nothing", "a folder"])
def test_what_is_no_whole_backup_is_refused_in_one_sentence(backup, empty, tmp_path, what):
    path = tmp_path / "it"
    {
        "cut off": lambda: path.write_bytes(backup.read_bytes()[:-100]),
        "another file": lambda: path.write_bytes(b"not a backup"),
        "nothing": lambda: None,
        "a folder": path.mkdir,
    }[what]()
    assert str(path) in sentence_of(empty.manage("restore", str(path)))
    assert is_untouched(empty)


def test_an_older_backup_is_migrated_forward(backup, empty, tmp_path):
    last = "pki.0016_renewal_permissions"

    def of_before(manifest, folder):
        old = Server(tmp_path / "old", {"DATABASE_URL": f"sqlite:///{folder / 'database.sqlite3'}"})
        done = old.manage("migrate", "--verbosity", "0", *last.split("."))
        assert done.returncode == 0, done.stderr
        with closing(sqlite3.connect(folder / "database.sqlite3")) as database:
            database.execute("PRAGMA journal_mode = DELETE")
        later = {name for name in manifest.migrations if name.startswith("pki.") and name > last}
        return dataclasses.replace(
            manifest, migrations=tuple(name for name in manifest.migrations if name not in later)
        )

    older = rebuilt(backup, tmp_path / "older.tar.gz", PASSPHRASE, of_before)
    done = empty.manage("restore", str(older))
    assert done.returncode == 0, done.stderr
    assert empty.manage("migrate", "--check").returncode == 0
    assert devices_of(empty) == ["door-1"]


def test_settings_that_are_signed_into_certificates_are_compared(backup, empty):
    empty.settings["PORTAL_STATUS_URL"] = "http://elsewhere.example"
    done = empty.manage("restore", str(backup))
    assert done.returncode == 0
    assert "PORTAL_STATUS_URL was 'http://127.0.0.1:" in done.stderr.decode()
    assert "is 'http://elsewhere.example' here" in done.stderr.decode()
