"""Counts that are kept are the counts that are."""

from collections import Counter
from datetime import timedelta

import pytest

from pki.models import Device, Revocation, Tally, TallyMark
from pki.services.enrolling import tokens
from pki.services.looking import tallies
from pki.services.proving.handshakes import HandshakeLog, RefusedHandshake
from pki.services.revoking import revocation
from tests.services.cast import DAY, TESTER, Gadget, change_state, issue, registered

LATER = tallies.SETTLED + timedelta(seconds=1)


@pytest.fixture
def busy(ca, now):
    """Two days in the life of a fleet."""
    yesterday = now - DAY
    door, gate, lamp = (registered(name, yesterday) for name in ("door", "gate", "lamp"))
    first = issue(door, yesterday)
    issue(gate, yesterday)
    issue(door, now)
    revocation.revoke([first], Revocation.Reason.SUPERSEDED, TESTER, now)
    change_state(gate, "suspended", yesterday)
    change_state(gate, "retired", now)
    change_state(lamp, "suspended", now)
    change_state(lamp, "active", now)
    with pytest.raises(tokens.TokenInvalid):
        Gadget("stranger").enroll("hatch_wrong", now)
    log = HandshakeLog()
    for _ in range(4):
        log.note(RefusedHandshake("secure", "192.0.2.9", "no_certificate", "none was sent"), now)
    log.flush(now, everything=True)
    return now


def expected(now):
    today, yesterday = now.date(), (now - DAY).date()
    return {
        "enrolled": {yesterday: 2},
        "renewed": {today: 1},
        "revoked": {today: 1},
        "refused": {today: 1},
        "turned away": {today: 4},
    }


def truth():
    counts = Counter(Device.objects.values_list("state", flat=True))
    return {str(state): counts[state] for state in Device.State}


def test_an_event_of_a_clock_that_was_ahead_keeps_nothing_back(ca, now):
    tallies.roll_up(now + LATER)
    registered("ahead", now + 400 * DAY)
    assert tallies.roll_up(now + LATER) == 1
    registered("ahead-too", now + 400 * DAY)
    registered("door", now)
    assert tallies.roll_up(now + LATER) == 2
    assert Tally.objects.get(kind="devices.active", day=now.date()).count == 1


@pytest.mark.parametrize("after", [timedelta(0), LATER, LATER + DAY])
def test_the_counts_are_the_same_before_and_after_they_are_tallied(busy, after):
    tallies.roll_up(busy + after)
    assert (
        tallies.devices_by_state(tallies.untallied())
        == truth()
        == {"active": 2, "suspended": 0, "retired": 1}
    )
    assert tallies.by_day((busy - 2 * DAY).date(), tallies.untallied()) == expected(busy)


def test_what_has_not_settled_is_left_for_the_next_time(busy):
    assert tallies.roll_up(busy) == 0, "events come in the order of their numbers, and the first are new"
    assert tallies.roll_up(busy + LATER) > 0
    assert tallies.roll_up(busy + LATER) == 0
    change_state(Device.objects.get(name="door"), "suspended", busy + LATER)
    mark = TallyMark.objects.get().event_id
    assert tallies.roll_up(busy + LATER) == 0
    assert TallyMark.objects.get().event_id == mark
    assert tallies.roll_up(busy + 2 * LATER) == 1
    assert tallies.devices_by_state(tallies.untallied()) == truth()


def test_a_backlog_is_tallied_in_batches(busy, monkeypatch):
    monkeypatch.setattr(tallies, "BATCH", 3)
    rolled = 0
    while number := tallies.roll_up(busy + LATER):
        assert number <= 3
        rolled += number
    assert rolled > 6
    assert tallies.devices_by_state(tallies.untallied()) == truth()
    assert tallies.by_day((busy - 2 * DAY).date(), tallies.untallied()) == expected(busy)


def test_days_before_the_first_that_is_asked_for_are_left_out(busy):
    tallies.roll_up(busy + LATER)
    assert tallies.by_day(busy.date(), tallies.untallied())["enrolled"] == {}


def test_tallied_numbers_are_read_from_few_rows(busy, django_assert_num_queries):
    tallies.roll_up(busy + LATER)
    assert Tally.objects.count() < 12
    with django_assert_num_queries(3):
        tallies.devices_by_state(tallies.untallied())
