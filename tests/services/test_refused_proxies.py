"""Who asks as a proxy and is none reaches the audit trail: who, from where, why, and how often."""

from dataclasses import replace

import pytest
from django.db import DatabaseError

from pki.admin.parts import sentences
from pki.models import AuditEvent
from pki.services.auditing import kinds
from pki.services.proving import folding
from pki.services.proving.folding import MOST_APART, WINDOW
from pki.services.proving.proxies import ProxyUnknown
from pki.services.proving.refused_proxies import RefusedProxy, RefusedProxyLog
from tests.services.cast import ADDRESS, ELSEWHERE, issue, registered

STRANGER = RefusedProxy("status", ADDRESS, "address_not_named", "PORTAL_PROXIES does not name its address")


@pytest.fixture
def book(db):
    return RefusedProxyLog()


def events():
    return list(AuditEvent.objects.filter(kind="proxy.refused").order_by("pk"))


def test_a_refused_proxy_is_on_record_at_once_with_the_reason(book, now):
    book.note(STRANGER, now)
    (event,) = events()
    assert (event.at, event.address, event.actor, event.count) == (now, ADDRESS, "anonymous", 1)
    assert event.detail == {
        "listener": "status",
        "reason": "address_not_named",
        "explanation": "PORTAL_PROXIES does not name its address",
    }


def test_it_is_told_whose_certificate_was_shown(ca, book, now):
    certificate = issue(registered("door-1", now), now)
    unknown = ProxyUnknown("device_not_named", "it is not named", certificate.parsed)
    book.note(RefusedProxy.of(unknown, "secure", ADDRESS), now)
    (event,) = events()
    assert (event.device, event.certificate) == (certificate.device, certificate)


def test_a_flood_is_one_event_and_one_with_the_rest(book, now):
    for _ in range(500):
        book.note(STRANGER, now)
    book.flush(now + WINDOW)
    assert [event.count for event in events()] == [1, 499]
    assert book.is_idle


@pytest.mark.parametrize(
    "change",
    [{"address": ELSEWHERE}, {"reason": "no_certificate"}, {"listener": "secure"}, {"fingerprint": "0" * 64}],
    ids=str,
)
def test_another_address_reason_listener_or_certificate_is_told_apart(book, now, change):
    book.note(STRANGER, now)
    book.note(replace(STRANGER, **change), now)
    assert len(events()) == 2


def test_however_many_addresses_ask_the_events_are_bounded(book, now):
    for number in range(2 * MOST_APART):
        book.note(replace(STRANGER, address=f"198.51.{number // 250}.{number % 250}"), now)
    assert len(events()) <= MOST_APART + 1


def test_a_record_that_can_not_be_written_is_an_error_in_the_log_and_no_more(book, now, monkeypatch, caplog):
    def fails(*_, **__):
        raise DatabaseError("disk full")

    monkeypatch.setattr(folding.audit, "record", fails)
    book.note(STRANGER, now)
    assert "disk full" in caplog.text


def test_the_console_tells_it_in_words(book, now):
    book.note(STRANGER, now)
    (event,) = events()
    assert kinds.in_words(event.kind) != event.kind
    assert "PORTAL_PROXIES does not name its address" in sentences.told(event)
