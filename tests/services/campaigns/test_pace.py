"""How fast a campaign asks: evenly over its window, slower never, and without a herd after a gap."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pki.models import Campaign
from pki.services.rotating import pace

HOUR = 3600
WEEK = 7 * 86_400


def opened(moment, window=WEEK, canary_percent=0):
    below = canary_percent * pace.END // 100
    return Campaign(
        name="spring",
        canary_percent=canary_percent,
        window_seconds=window,
        window_from=moment,
        stepped_at=moment,
        position=below,
        canaries_below=below,
    )


def go(campaign, now):
    """One step; how far it went."""
    before = campaign.position
    campaign.position = pace.next_position(campaign, now)
    campaign.stepped_at = now
    return campaign.position - before


def go_on_until(campaign, now, end, minutes=1):
    steps = []
    while now < end:
        now += timedelta(minutes=minutes)
        steps.append(go(campaign, now))
    return steps


def test_places_are_spread_evenly_and_another_in_each_campaign():
    first, second = Campaign(name="first"), Campaign(name="second")
    names = [f"door-{number}" for number in range(2_000)]
    places = [pace.place(first, name) for name in names]
    for tenth in range(10):
        low = tenth * pace.END // 10
        assert 120 < sum(low <= place < low + pace.END // 10 for place in places) < 290
    assert all(0 <= place < pace.END for place in places)
    same = sum(pace.place(first, name) // 1000 == pace.place(second, name) // 1000 for name in names)
    assert same < 50


@pytest.mark.parametrize("canary_percent", [0, 5, 50])
def test_half_of_the_rest_is_asked_at_half_of_the_window_and_all_at_its_end(moment, canary_percent):
    campaign = opened(moment, canary_percent=canary_percent)
    start = campaign.position
    go_on_until(campaign, moment, moment + timedelta(seconds=WEEK / 2))
    assert abs(campaign.position - (start + pace.END) // 2) < 2
    go_on_until(campaign, moment + timedelta(seconds=WEEK / 2), moment + timedelta(seconds=WEEK))
    assert campaign.position == pace.END


def test_without_a_window_all_are_asked_at_once(moment):
    assert pace.next_position(opened(moment, window=0), moment) == pace.END


def test_two_steps_at_one_moment_ask_nobody_the_second_time(moment):
    campaign = opened(moment)
    now = moment + timedelta(minutes=1)
    assert go(campaign, now) > 0
    assert go(campaign, now) == 0


def test_what_was_missed_in_an_hour_is_caught_up_within_two_and_never_at_once(moment):
    campaign = opened(moment)
    minute = pace.END / WEEK * 60
    go_on_until(campaign, moment, moment + timedelta(hours=1))
    back = moment + timedelta(hours=2)  # nothing ran for an hour
    assert go(campaign, back) <= 2 * 5 * minute + 1
    steps = go_on_until(campaign, back, back + timedelta(hours=2))
    assert max(steps) <= 2 * minute + 1
    assert abs(campaign.position - pace.END / WEEK * 4 * HOUR) < 2 * minute


def test_a_clock_that_goes_back_takes_nothing_back(moment):
    campaign = opened(moment)
    go_on_until(campaign, moment, moment + timedelta(hours=1))
    far = campaign.position
    assert go(campaign, moment - timedelta(hours=1)) == 0
    assert campaign.position == far


@given(
    window=st.integers(60, WEEK),
    percent=st.integers(0, 50),
    gaps=st.lists(st.integers(1, 4_000), min_size=1, max_size=60),
)
@settings(max_examples=60, deadline=None)
def test_it_never_goes_back_nor_beyond_nor_faster_than_twice_the_pace(window, percent, gaps):
    moment = datetime(2026, 5, 1, tzinfo=UTC)
    campaign = opened(moment, window, percent)
    per_second = (pace.END - campaign.position) / window
    now = moment
    for gap in gaps:
        now += timedelta(seconds=gap)
        step = go(campaign, now)
        assert 0 <= step <= 2 * per_second * min(gap, 300) + 1
        assert campaign.position <= pace.END
        due = (now - moment).total_seconds() * per_second
        assert campaign.position <= percent * pace.END // 100 + due + 1


def test_a_pause_keeps_what_was_left_of_the_window(moment):
    campaign = opened(moment)
    half = moment + timedelta(seconds=WEEK / 2)
    go_on_until(campaign, moment, half)
    later = half + timedelta(days=30)
    pace.stand_still(campaign)
    pace.move_on(campaign, later)
    end = campaign.window_from + timedelta(seconds=WEEK)
    assert abs(end - (later + timedelta(seconds=WEEK / 2))) < timedelta(minutes=2)


def test_who_goes_on_at_the_end_has_a_tenth_of_the_window_for_those_asked_again(moment):
    campaign = opened(moment)
    campaign.position = pace.END
    pace.stand_still(campaign)
    pace.move_on(campaign, moment)
    end = campaign.window_from + timedelta(seconds=WEEK)
    assert abs(end - (moment + timedelta(seconds=WEEK / 10))) < timedelta(minutes=2)
