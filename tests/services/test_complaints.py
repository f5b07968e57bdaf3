"""What does not work is said in one line, and at most once a minute."""

import logging

import pytest
from django.db import OperationalError

from pki.keystore import KeystoreError
from pki.services import complaints

LOG = logging.getLogger("hatchery.test")


@pytest.fixture
def said(caplog):
    return lambda: [record.getMessage() for record in caplog.records]


@pytest.fixture
def book(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(complaints.time, "monotonic", lambda: clock[0])
    made = complaints.Complaints()
    made.clock = clock
    return made


def test_the_same_is_said_once_a_minute_with_how_often_it_was(book, said):
    for _ in range(12):
        book.say(LOG, "Nothing works", "it is broken")
    book.clock[0] = complaints.SECONDS
    book.say(LOG, "Nothing works", "it is broken")
    assert said() == [
        "Nothing works: it is broken",
        "Nothing works: it is broken (11 times more since this was said)",
    ]


def test_something_else_is_said_at_once(book, said):
    for why in ("broken", "gone", "broken"):
        book.say(LOG, "Nothing works", why)
    assert said() == ["Nothing works: broken", "Nothing works: gone"]


def test_ever_different_words_do_not_fill_the_log_or_memory(book, said):
    for number in range(3 * complaints.MOST):
        book.say(LOG, "Nothing works", str(number))
    assert len(said()) == len(book._said) == complaints.MOST


def test_a_reason_is_one_line_in_the_errors_words():
    assert "no route" in complaints.reason(OperationalError("no\n route?\n"))
    assert "\n" not in complaints.reason(OperationalError("no\n route?\n"))
    assert complaints.reason(KeystoreError("Restore it.")) == "Restore it."
