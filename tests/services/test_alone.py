"""One of all processes at a time, and none that waits for one that is gone."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.db import connection, transaction

from pki.services.transactions import alone
from tests.services.cast import at_once

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parent.parent.parent

# Another process over the same database, which says that it is in and stays until it is killed.
STAYS = """
import sys, time, django
from django.conf import settings
settings.configure(DATABASES={"default": %r}, USE_TZ=True)
django.setup()
from pki.services.transactions import alone
with alone("something") as free:
    print(free, flush=True)
    time.sleep(60)
"""


def enter(what="something"):
    with alone(what) as free:
        return free


def test_it_is_free_when_nobody_is_in_and_again_after():
    assert [enter(), enter()] == [True, True]


def test_others_are_told_and_do_not_wait():
    with alone("something") as free:
        assert free
        assert at_once(*[enter] * 4) == [False] * 4
    assert at_once(enter) == [True]


def test_who_is_in_does_not_get_in_once_more():
    with alone("something") as free:
        assert free
        assert enter() is False
        assert at_once(enter) == [False], "and leaves nothing open by having tried"
    assert at_once(enter) == [True]


def test_one_thing_does_not_keep_another_out():
    with alone("something"):
        assert at_once(lambda: enter("something-else")) == [True]


def test_it_is_free_again_after_an_error():
    with pytest.raises(ZeroDivisionError), alone("something"):
        _ = 1 / 0
    assert at_once(enter) == [True]


def test_it_is_free_again_after_a_database_error():
    from django.db import DatabaseError

    with pytest.raises(DatabaseError), alone("something"), connection.cursor() as cursor:
        cursor.execute("SELECT no_such_column FROM no_such_table")
    assert at_once(enter) == [True]


def test_no_transaction_is_open_in_here():
    with alone("something"):
        assert not connection.in_atomic_block
        with transaction.atomic():
            pass


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_is_killed_leaves_at_once(sig):
    other = {key: value for key, value in connection.settings_dict.items() if key != "TEST"}
    process = subprocess.Popen(
        [sys.executable, "-c", STAYS % other], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "True\n"
        assert enter() is False
        process.send_signal(sig)
        process.wait(timeout=10)
        deadline = time.monotonic() + 10
        while not enter():  # PostgreSQL sees a moment later that its client is gone
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
