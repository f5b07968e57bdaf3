"""A worker's publisher in this process: it goes on after trouble, and does not fill the log with it."""

import threading

import pytest
from django.db import OperationalError

from pki.keystore import keystore
from pki.services import complaints
from pki.services.publishing import publication
from portal import housekeeping
from tests.services.lists import issuing, publish, root, stored

LOG = "hatchery.housekeeping"


@pytest.fixture
def publisher(ca):
    return housekeeping.Errand(publish, "CRLs cannot be made")


def damage(folder, issuer):
    path = folder / "keys" / f"{issuer.key_reference.removeprefix('file:')}.pem"
    good = path.read_bytes()
    path.write_bytes(b"damaged")
    keystore.cache_clear()
    return lambda: (path.write_bytes(good), keystore.cache_clear())


def lines(caplog):
    return [record.getMessage() for record in caplog.records if record.name == LOG]


def test_a_key_that_does_not_open_is_one_line_that_says_what_to_do(ca, publisher, caplog, monkeypatch):
    repair = damage(ca, root())
    for _ in range(5):
        publisher.run()
    (line,) = lines(caplog)
    assert "check PORTAL_KEY_PASSPHRASE" in line
    assert "or restore the file from a backup." in line
    assert "Traceback" not in caplog.text
    monkeypatch.setattr(complaints, "SECONDS", 0.0)
    publisher.run()
    assert len(lines(caplog)) == 2
    repair()
    publisher.run()
    assert stored(root()).number == 1
    assert len(lines(caplog)) == 2


def test_other_trouble_is_said_at_once(publisher, caplog):
    for words in ("no space left", "no space left", "connection refused"):

        def fails(now, words=words):
            raise OperationalError(words)

        publisher._what = fails
        publisher.run()
    first, second = lines(caplog)
    assert "no space left" in first
    assert "connection refused" in second
    assert all("see DATABASE_URL" in line for line in (first, second))
    publisher._what = publish
    publisher.run()
    assert stored(issuing(), 1).number == 1


def test_it_does_not_begin_anew_before_it_has_ended(publisher):
    begun, go_on, calls = threading.Event(), threading.Event(), []

    def slow(now):
        calls.append(now)
        begun.set()
        go_on.wait(10)

    publisher._what = slow
    thread = threading.Thread(target=publisher.run)
    thread.start()
    assert begun.wait(10)
    publisher.run()
    go_on.set()
    thread.join(10)
    assert len(calls) == 1
    publisher.run()
    assert len(calls) == 2


def test_a_full_list_that_takes_long_holds_up_no_shard_and_none_of_the_workers_threads(monkeypatch):
    begun, go_on, shards, full = threading.Event(), threading.Event(), [], []

    def slow(now):
        full.append(now)
        begun.set()
        go_on.wait(10)

    monkeypatch.setattr(publication, "publish_full_lists", slow)
    monkeypatch.setattr(publication, "publish_shards", shards.append)
    keeper = housekeeping.Housekeeping()
    # One thread, which does one thing after the other.
    submit = lambda what: what()  # noqa: E731
    keeper._sightings_at = keeper._maintenance_at = keeper._contexts_at = float("inf")
    monkeypatch.setattr(housekeeping, "_FOLDED", ())
    for _ in range(3):
        # At each turn of the worker's loop, of which a second has several.
        keeper._next = 0.0
        for _ in range(5):
            keeper.tick(submit)
        assert begun.wait(10)
    assert (len(shards), len(full)) == (3, 1)
    go_on.set()
