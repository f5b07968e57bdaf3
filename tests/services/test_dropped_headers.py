"""Headers that were dropped reach the audit trail by their number, not one by one."""

from dataclasses import replace

import pytest
from django.db import DatabaseError

from pki.admin.parts import sentences
from pki.models import AuditEvent
from pki.services.auditing import kinds
from pki.services.proving import folding
from pki.services.proving.dropped_headers import DroppedHeaders, DroppedLog
from pki.services.proving.folding import MOST_APART, WINDOW
from tests.services.cast import ADDRESS, ELSEWHERE

FORGED = DroppedHeaders(
    listener="secure",
    address=ADDRESS,
    reason="not_asked",
    explanation="no certificate is taken from a header here",
    headers=("Client-Cert", "X-SSL-Client-Cert"),
)


@pytest.fixture
def book(db):
    return DroppedLog()


def events():
    return list(AuditEvent.objects.filter(kind="forwarded_certificate.dropped").order_by("pk"))


def test_a_dropped_header_is_on_record_at_once_by_its_name_and_never_by_its_content(book, now):
    book.note(FORGED, now)
    (event,) = events()
    assert (event.at, event.address, event.actor, event.count) == (now, ADDRESS, "anonymous", 1)
    assert event.detail == {
        "listener": "secure",
        "reason": "not_asked",
        "explanation": "no certificate is taken from a header here",
        "headers": ["Client-Cert", "X-SSL-Client-Cert"],
    }


def test_a_flood_is_one_event_and_one_with_the_rest(book, now):
    for _ in range(500):
        book.note(FORGED, now)
    book.flush(now + WINDOW)
    assert [event.count for event in events()] == [1, 499]
    assert book.is_idle


@pytest.mark.parametrize(
    "change", [{"address": ELSEWHERE}, {"reason": "proxy_unknown"}, {"listener": "status"}], ids=str
)
def test_another_address_reason_or_listener_is_told_apart(book, now, change):
    book.note(FORGED, now)
    book.note(replace(FORGED, **change), now)
    assert len(events()) == 2


def test_however_many_addresses_forge_the_events_are_bounded(book, now):
    for number in range(2 * MOST_APART):
        book.note(replace(FORGED, address=f"198.51.{number // 250}.{number % 250}"), now)
    assert len(events()) <= MOST_APART + 1


def test_a_record_that_can_not_be_written_is_an_error_in_the_log_and_no_more(book, now, monkeypatch, caplog):
    def fails(*_, **__):
        raise DatabaseError("disk full")

    monkeypatch.setattr(folding.audit, "record", fails)
    book.note(FORGED, now)
    book.note(replace(FORGED, address=ELSEWHERE), now)
    (line,) = caplog.records
    assert "disk full" in line.getMessage()
    assert not line.exc_info, "a database that is away is no fault of ours to trace"


def test_the_console_tells_it_in_words(book, now):
    book.note(FORGED, now)
    (event,) = events()
    assert kinds.in_words(event.kind) != event.kind
    assert "Client-Cert, X-SSL-Client-Cert dropped" in sentences.told(event)
