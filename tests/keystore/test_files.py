"""Private files: their owner's alone, and whole whatever happens."""

import errno
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from pki.keystore.files import make_private_folder, write_private


@pytest.fixture(autouse=True)
def generous_umask():
    """As many shells have it; what must be private must not depend on it."""
    before = os.umask(0o000)
    yield
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("replace", [True, False])
def test_a_new_file_is_its_owners_alone(tmp_path, replace):
    write_private(tmp_path / "key", b"new", replace=replace)
    assert (tmp_path / "key").read_bytes() == b"new"
    assert mode(tmp_path / "key") == 0o600


def test_a_file_that_is_replaced_becomes_its_owners_alone(tmp_path):
    (tmp_path / "key").write_bytes(b"old and longer")
    (tmp_path / "key").chmod(0o644)
    write_private(tmp_path / "key", b"new")
    assert (tmp_path / "key").read_bytes() == b"new"
    assert mode(tmp_path / "key") == 0o600


def test_without_replace_a_file_that_is_there_stays(tmp_path):
    (tmp_path / "key").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        write_private(tmp_path / "key", b"new", replace=False)
    assert (tmp_path / "key").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_of_many_who_write_without_replace_one_wins_and_the_others_are_told(tmp_path):
    start = Barrier(8)

    def write(number):
        start.wait(timeout=10)
        try:
            write_private(tmp_path / "key", bytes([number]) * 1000, replace=False)
        except FileExistsError:
            return None
        return number

    with ThreadPoolExecutor(8) as pool:
        (winner,) = [number for number in pool.map(write, range(8)) if number is not None]
    assert (tmp_path / "key").read_bytes() == bytes([winner]) * 1000
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_mode_that_is_asked_for_is_that_of_the_file_whatever_the_umask(tmp_path):
    os.umask(0o077)
    write_private(tmp_path / "certificate", b"new", replace=False, mode=0o644)
    assert mode(tmp_path / "certificate") == 0o644


@pytest.fixture(params=[errno.EPERM, errno.ENOTSUP, errno.ENOSYS], ids=errno.errorcode.get)
def fat(request, monkeypatch):
    """A file system without hard links and modes, as on a USB stick."""

    def refuse(*args, **kwargs):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr("os.link", refuse)
    if request.param == errno.EPERM:
        monkeypatch.setattr("os.fchmod", refuse)


@pytest.mark.usefixtures("fat")
def test_where_there_are_no_hard_links_a_new_file_is_written_and_none_is_overwritten(tmp_path):
    write_private(tmp_path / "new", b"first", replace=False, mode=0o644)
    with pytest.raises(FileExistsError):
        write_private(tmp_path / "new", b"second", replace=False, mode=0o644)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"new": b"first"}


@pytest.mark.usefixtures("fat")
def test_where_there_are_no_hard_links_what_fails_leaves_nothing(tmp_path, monkeypatch):
    def fail(*args):
        raise OSError("stick removed")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="stick removed"):
        write_private(tmp_path / "new", b"new", replace=False)
    assert not [*tmp_path.iterdir()]


# Each step at which a machine can stop; os.link and Path.replace put the new file in its place.
CRASHES = {
    "while it is written": ("os.fdopen", True),
    "before it is on the disk": ("os.fsync", True),
    "before it is put in place": ("pathlib.Path.replace", True),
    "before a new one is put in place": ("os.link", False),
}


@pytest.mark.parametrize(("step", "replace"), CRASHES.values(), ids=CRASHES)
@pytest.mark.parametrize("crash", [OSError("disk full"), KeyboardInterrupt()], ids=["error", "interrupt"])
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_crash_leaves_what_was_there_and_nothing_else(tmp_path, monkeypatch, step, replace, crash):
    name = "key" if replace else "new"
    (tmp_path / "key").write_bytes(b"old")

    def fail(*args, **kwargs):
        raise crash

    monkeypatch.setattr(step, fail)
    with pytest.raises(type(crash)):
        write_private(tmp_path / name, b"new", replace=replace)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"key": b"old"}


def test_a_reader_never_sees_half_a_file(tmp_path, monkeypatch):
    """What stands under the name at every moment is the old file or the new one."""
    (tmp_path / "key").write_bytes(b"old")
    seen = []
    real = os.fsync

    def look(descriptor):
        seen.append((tmp_path / "key").read_bytes())
        real(descriptor)

    monkeypatch.setattr("os.fsync", look)
    write_private(tmp_path / "key", b"new")
    assert seen == [b"old", b"new"], "written through before it is put in place, and its folder after it"


def test_a_file_in_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_private(tmp_path / "nowhere" / "key", b"new")


def test_a_folder_is_its_owners_alone(tmp_path):
    make_private_folder(tmp_path / "keys")
    assert mode(tmp_path / "keys") == 0o700


def test_the_folders_above_it_that_it_makes_are_their_owners_alone_too(tmp_path):
    # Path.mkdir(parents=True) would give the mode to the last one alone.
    make_private_folder(tmp_path / "data" / "keys")
    assert mode(tmp_path / "data") == 0o700


def test_a_folder_that_is_there_stays_as_it_is(tmp_path):
    folder = tmp_path / "keys"
    folder.mkdir()
    folder.chmod(0o750)
    (folder / "key").write_bytes(b"old")
    make_private_folder(folder)
    assert mode(folder) == 0o750
    assert (folder / "key").read_bytes() == b"old"


def test_a_file_where_a_folder_should_be_is_an_error(tmp_path):
    Path(tmp_path / "keys").write_bytes(b"")
    with pytest.raises(FileExistsError):
        make_private_folder(tmp_path / "keys")
