"""`make bench-renewals`: the simulation counts what is lost, and loses something when it must."""

from dataclasses import replace

import pytest

pytest.importorskip("numpy", reason="numpy is not installed; pip install -r requirements-simulation.txt")

from benchmarks.renewal_storm import MEASURED
from benchmarks.storm_model import DAY, HOUR, Plan, simulate
from benchmarks.storm_plot import Line, Panel, svg

FEW = 2000
PLAN = Plan(
    devices=FEW,
    life=DAY,
    days=2,
    cores=8 * FEW / 1e6,
    costs=MEASURED,
    enrolled_within=HOUR,
    ask_again=HOUR,
    coarse=12,
)


def test_with_room_and_without_an_outage_nobody_is_refused_or_late():
    story = simulate(PLAN)
    assert (story.expired, sum(story.refusals)) == (0, 0)
    assert story.least_left > DAY / 3 - HOUR
    renewals = sum(story.renewals) * PLAN.bin
    assert 2 * FEW <= renewals <= 4 * FEW, "each renews after half a day to two thirds"


def test_while_hatchery_is_away_nothing_is_answered():
    story = simulate(replace(PLAN, outage_from=12, outage=6))
    first, last = int(12 * HOUR / PLAN.bin) + 1, int(18 * HOUR / PLAN.bin) - 1
    assert sum(story.renewals[first:last]) == sum(story.polls[first:last]) == 0
    assert story.backlog > FEW * 0.9, "all whose moments were in it"
    assert story.expired == 0


def test_an_outage_that_is_longer_than_what_is_left_ends_certificates():
    story = simulate(replace(PLAN, outage_from=12, outage=16))
    assert story.expired > FEW / 2


def test_a_server_that_is_too_small_loses_devices():
    story = simulate(replace(PLAN, cores=0.2 * FEW / 1e6))
    assert story.expired > 0
    assert sum(story.refusals) > 0


def test_the_same_seed_makes_the_same_story_and_another_one_another():
    assert simulate(PLAN).renewals == simulate(PLAN).renewals
    assert simulate(PLAN).renewals != simulate(replace(PLAN, seed=2)).renewals


def test_the_picture_has_each_line_within_its_panel():
    drawn = svg("A title & more", [Panel("one", 24, (Line("a", "#000000", [0, 5, 10]),), (1, 2))], 1, 10)
    assert "A title &amp; more" in drawn
    assert drawn.count("<polyline") == 1
