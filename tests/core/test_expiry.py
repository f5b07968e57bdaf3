"""When a certificate's end is told of."""

from datetime import timedelta

import pytest

from pki.core.expiry import lead_times, left_when_late
from tests.core.cast import DAY

HOUR = timedelta(hours=1)


def test_thresholds_of_a_long_life_are_told_as_they_are():
    assert lead_times([30, 7, 1], 365 * DAY) == [(1, DAY), (7, 7 * DAY), (30, 30 * DAY)]


def test_thresholds_that_come_before_a_certificate_is_late_become_one_that_comes_then():
    # Of 30 days, the last is renewed at 25; of 24 hours, at 16.
    assert lead_times([30, 7, 1], 30 * DAY) == [(1, DAY), (7, 5 * DAY)]
    assert lead_times([30, 7, 1], 24 * HOUR) == [(1, 8 * HOUR)]


def test_a_threshold_that_comes_just_when_it_is_late_stays():
    assert lead_times([5], 30 * DAY) == [(5, 5 * DAY)]


@pytest.mark.parametrize("days", [[], [0], [-1], [366], ["7"], [1.5], [True], [None]])
def test_what_is_no_threshold_says_nothing(days):
    assert lead_times(days, 365 * DAY) == []


def test_a_threshold_that_is_named_twice_counts_once():
    assert lead_times([7, 7], 365 * DAY) == [(7, 7 * DAY)]


@pytest.mark.parametrize("life", [HOUR, DAY, 9 * DAY, 10 * DAY, 90 * DAY, 3650 * DAY])
def test_nobody_is_told_before_a_certificate_is_late(life):
    assert all(lead <= left_when_late(life) for _, lead in lead_times(range(1, 366), life))
