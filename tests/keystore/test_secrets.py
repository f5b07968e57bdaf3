"""Secrets that nobody gave are made once, and all who ask are told the same."""

import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.core.exceptions import ImproperlyConfigured

from portal.secrets import read_or_make_secret

THREADS = 8


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "secrets" / "secret-key"


def test_a_secret_is_made_once_and_read_from_then_on(path):
    secret = read_or_make_secret(path)
    assert read_or_make_secret(path) == secret
    assert path.read_text().strip() == secret


def test_a_secret_has_384_random_bits(tmp_path):
    one, other = (read_or_make_secret(tmp_path / "data" / "secrets" / name) for name in ("one", "other"))
    assert len(base64.urlsafe_b64decode(one)) * 8 == 384
    assert one != other


def test_a_secret_is_its_owners_alone(path):
    read_or_make_secret(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.parent.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("round_", range(10))
def test_many_who_start_at_once_are_told_the_same_secret(path, round_):
    start = Barrier(THREADS)

    def ask(_):
        start.wait(timeout=10)
        return read_or_make_secret(path)

    with ThreadPoolExecutor(THREADS) as pool:
        secrets = set(pool.map(ask, range(THREADS)))
    assert secrets == {path.read_text().strip()}
    assert [file.name for file in path.parent.iterdir()] == ["secret-key"]


def test_a_secret_that_was_given_by_hand_is_kept(path):
    path.parent.mkdir(parents=True)
    path.write_text("  a secret of my own\n")
    assert read_or_make_secret(path) == "a secret of my own"


@pytest.mark.parametrize("content", ["", "\n", "  \n"])
def test_an_empty_secret_stops_the_start_and_is_not_made_anew(path, content):
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(ImproperlyConfigured, match="empty") as caught:
        read_or_make_secret(path)
    assert str(path) in str(caught.value)
    assert path.read_text() == content


@pytest.mark.parametrize("content", [bytes(65), b"half a secret" + bytes(51), b"\xff\xfe"])
def test_a_damaged_secret_stops_the_start_and_is_not_made_anew(path, content):
    """Zeros are what some file systems leave of a file that was being written when the power went."""
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(ImproperlyConfigured, match=r"damaged.*restore it from a backup") as caught:
        read_or_make_secret(path)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_written_stops_the_start_and_is_named(tmp_path):
    (tmp_path / "data").write_bytes(b"a file, where a folder should be")
    with pytest.raises(ImproperlyConfigured, match="PORTAL_DATA_DIR") as caught:
        read_or_make_secret(tmp_path / "data" / "secrets" / "secret-key")
    assert str(tmp_path / "data") in str(caught.value)


def test_a_secret_that_cannot_be_read_stops_the_start(path):
    path.mkdir(parents=True)
    with pytest.raises(ImproperlyConfigured):
        read_or_make_secret(path)
