"""Refused handshakes reach the audit trail by name, and a flood of them does not fill it."""

import logging
import time
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import DatabaseError, InterfaceError

from pki.models import AuditEvent
from pki.services.proving import folding
from pki.services.proving.folding import MOST_APART, WINDOW
from pki.services.proving.handshakes import HandshakeLog, RefusedHandshake
from tests.services.cast import ADDRESS, ELSEWHERE, SECOND, at_once, issue, registered

STRANGER = RefusedHandshake(
    listener="secure",
    address=ADDRESS,
    reason="unknown_issuer",
    explanation="Its issuer is not ours.",
    fingerprint="ab" * 32,
    subject="CN=stranger",
    issuer="CN=Somebody Else's CA",
    serial="1f2e",
)
SILENT = RefusedHandshake("secure", ADDRESS, "no_certificate", "No certificate was sent.")


@pytest.fixture
def book(db):
    return HandshakeLog()


@pytest.fixture
def certificate(ca, now):
    return issue(registered("door-1", now), now)


@pytest.fixture
def revoked(certificate):
    """What a handshake with a certificate of ours looks like when it is refused."""
    return RefusedHandshake(
        listener="secure",
        address=ADDRESS,
        reason="certificate_revoked",
        explanation="It was revoked.",
        ours=True,
        fingerprint=certificate.fingerprint,
        subject=certificate.parsed.subject.rfc4514_string(),
        issuer=certificate.parsed.issuer.rfc4514_string(),
        serial=certificate.serial,
    )


def events():
    return list(AuditEvent.objects.filter(kind="handshake.refused").order_by("pk"))


def counts():
    return [event.count for event in events()]


def test_a_refused_handshake_is_on_record_at_once_and_by_name(book, now):
    book.note(STRANGER, now)
    (event,) = events()
    assert (event.at, event.address, event.actor, event.count) == (now, ADDRESS, "anonymous", 1)
    assert event.detail == {
        "listener": "secure",
        "reason": "unknown_issuer",
        "explanation": "Its issuer is not ours.",
        "subject": "CN=stranger",
        "issuer": "CN=Somebody Else's CA",
        "certificate_serial": "1f2e",
        "fingerprint": "ab" * 32,
    }
    assert (event.device, event.certificate) == (None, None)


def test_a_client_without_a_certificate_leaves_no_empty_words(book, now):
    book.note(SILENT, now)
    assert set(events()[0].detail) == {"listener", "reason", "explanation"}


def test_a_certificate_of_ours_is_on_record_with_its_device(book, now, revoked, certificate):
    book.note(revoked, now)
    (event,) = events()
    assert (event.certificate, event.device) == (certificate, certificate.device)


def test_a_certificate_that_only_claims_to_be_ours_is_not_looked_up(book, now, revoked):
    book.note(replace(revoked, ours=False, reason="unknown_issuer"), now)
    assert events()[0].certificate is None


def test_a_flood_is_one_event_at_once_and_one_with_the_rest_when_the_window_is_over(book, now):
    for number in range(500):
        book.note(STRANGER, now + number * SECOND / 100)
    assert counts() == [1]
    book.flush(now + WINDOW - SECOND)
    assert counts() == [1], "the window is not over"
    book.flush(now + WINDOW)
    assert counts() == [1, 499]
    assert book.is_idle


def test_a_window_without_another_writes_nothing_more(book, now):
    book.note(STRANGER, now)
    book.flush(now + WINDOW)
    assert counts() == [1]


def test_each_window_of_a_long_flood_adds_two_events_at_most(book, now):
    windows = 5
    for tick in range(windows * 60):
        moment = now + tick * SECOND
        book.flush(moment)
        book.note(STRANGER, moment)
    book.flush(now + windows * WINDOW, everything=True)
    assert sum(counts()) == windows * 60, "every one is counted"
    assert len(counts()) <= 2 * windows


@pytest.mark.parametrize("ahead", [WINDOW, timedelta(days=365)], ids=str)
def test_a_clock_that_was_ahead_silences_nobody_once_it_is_right(book, now, ahead):
    book.note(STRANGER, now + ahead)
    book.note(STRANGER, now)
    book.note(STRANGER, now)
    book.flush(now)
    assert counts() == [1, 2]
    assert book.is_idle
    book.note(STRANGER, now + SECOND)
    assert counts() == [1, 2, 1]


def test_the_last_of_a_fold_is_the_one_that_is_shown(book, now):
    for subject in ("CN=first", "CN=second", "CN=third"):
        book.note(replace(STRANGER, subject=subject), now)
    book.flush(now, everything=True)
    assert [event.detail["subject"] for event in events()] == ["CN=first", "CN=third"]


def test_at_the_end_nothing_that_was_counted_is_lost(book, now):
    for _ in range(3):
        book.note(STRANGER, now)
    book.flush(now, everything=True)
    assert counts() == [1, 2]


def different_address(refused):
    return replace(refused, address=ELSEWHERE)


def different_reason(refused):
    return replace(refused, reason="timeout")


def different_serial(refused):
    return replace(refused, serial="99")


def different_subject(refused):
    return replace(refused, subject="CN=somebody else")


APART = {
    "another address": (STRANGER, different_address, 2),
    "another reason": (STRANGER, different_reason, 2),
    # A stranger chooses his serials and subjects: they must not tell his knocks apart.
    "another serial of a stranger": (STRANGER, different_serial, 1),
    "another subject of a stranger": (STRANGER, different_subject, 1),
}


@pytest.mark.parametrize(("first", "change", "written"), APART.values(), ids=APART)
def test_handshakes_are_told_apart_by_address_and_reason(book, now, first, change, written):
    book.note(first, now)
    book.note(change(first), now)
    assert len(events()) == written


def test_two_certificates_of_ours_behind_one_address_are_told_apart(book, now, revoked):
    book.note(revoked, now)
    book.note(different_serial(revoked), now)
    assert len(events()) == 2


def test_one_ipv6_host_with_many_addresses_is_one_visitor(book, now):
    for number in range(1, 50):
        book.note(replace(STRANGER, address=f"2001:db8::{number:x}"), now)
    assert counts() == [1]


def test_however_many_addresses_knock_the_events_and_the_memory_are_bounded(book, now):
    knocks = 3 * MOST_APART
    for number in range(knocks):
        book.note(replace(STRANGER, address=f"198.51.{number // 250}.{number % 250}"), now)
    assert len(events()) <= MOST_APART + 1
    book.flush(now + WINDOW)
    assert sum(counts()) == knocks, "every one is counted"
    assert len(events()) <= 2 * (MOST_APART + 1)


def test_while_one_flood_goes_on_another_reason_is_still_seen(book, now):
    for number in range(2 * MOST_APART):
        book.note(replace(STRANGER, address=f"198.51.{number // 250}.{number % 250}"), now)
    book.note(SILENT, now)
    assert "no_certificate" in {event.detail["reason"] for event in events()}


@pytest.mark.django_db(transaction=True)
def test_threads_that_share_a_log_lose_no_count(now, monkeypatch):
    book, threads, knocks = HandshakeLog(), 8, 50
    make = folding._Folded

    def slowly(*args):
        time.sleep(0.05)  # seconds, in which another thread could come by
        return make(*args)

    monkeypatch.setattr(folding, "_Folded", slowly)

    def knock():
        for _ in range(knocks):
            book.note(STRANGER, now)

    at_once(*[knock] * threads)
    book.flush(now, everything=True)
    assert counts() == [1, threads * knocks - 1]


@pytest.mark.parametrize("fault", [DatabaseError("in vain"), InterfaceError("in vain"), OSError("in vain")])
def test_a_record_that_can_not_be_written_is_an_error_in_the_log_and_no_more(
    book, now, monkeypatch, caplog, fault
):
    def fails(*_, **__):
        raise fault

    with monkeypatch.context() as for_now:
        for_now.setattr(folding.audit, "record", fails)
        book.note(STRANGER, now)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "in vain" in caplog.text
