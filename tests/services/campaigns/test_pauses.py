"""Pausing a campaign, and going on."""

import pytest

from pki.models import Issuer
from pki.services.rotating import campaigns
from pki.services.rotating.selection import Selection
from tests.services.campaigns.cast import (
    Fleet,
    Member,
    State,
    condemn,
    group_of,
    in_state,
    new_issuer,
    of_old,
    started,
    state_of,
    states,
)
from tests.services.cast import TESTER

pytestmark = pytest.mark.usefixtures("ca")


def test_a_pause_takes_the_asking_back_from_who_has_not_moved(fleet, target):
    campaign = started(fleet, of_old(), target)
    fleet.move("door-0", "door-1")
    campaigns.pause(campaign, TESTER, fleet.now)
    fleet.step(seconds=1)
    assert fleet.asked() == set()
    assert in_state(campaign, Member.MOVED) == {"door-0", "door-1"}
    assert in_state(campaign, Member.WAITING) == set(fleet.shown) - {"door-0", "door-1"}
    fleet.live(5)
    assert in_state(campaign, Member.MOVED) == {"door-0", "door-1"}


def test_who_renews_by_itself_during_a_pause_is_signed_for_by_the_old_issuer(fleet, target):
    """The profiles have switched already: the pause holds for them all the same."""
    campaign = started(fleet, of_old(), target)
    old = fleet.shown["door-0"].issuer
    campaigns.pause(campaign, TESTER, fleet.now)
    fleet.step(seconds=1)
    fleet.renew("door-0")
    assert fleet.shown["door-0"].issuer == old


def test_a_pause_does_not_bind_devices_to_an_issuer_that_cannot_sign(fleet, target):
    campaign = started(fleet, of_old(), target)
    old = fleet.shown["door-0"].issuer
    condemn(old, Issuer.State.COMPROMISED, fleet.now)
    campaigns.pause(campaign, TESTER, fleet.now)
    fleet.step(seconds=1)
    fleet.renew("door-0")
    assert fleet.shown["door-0"].issuer == target


def test_a_certificate_that_was_given_before_the_pause_counts_when_it_is_shown(fleet, target):
    campaign = started(fleet, Selection(group=group_of("door-0", "door-1")), target)
    fleet.renew("door-0")
    campaigns.pause(campaign, TESTER, fleet.now)
    fleet.step(seconds=1)
    fleet.show("door-0")
    assert states(campaign)["door-0"] == Member.MOVED
    fleet.renew("door-0")
    assert fleet.shown["door-0"].issuer == target, "and it does not go back by its next renewal"


def test_it_goes_on_with_what_is_left_of_the_window(now):
    fleet = Fleet.of(40, now)
    campaign = started(fleet, of_old(), new_issuer(now), window_seconds=3600)
    fleet.live(30)
    campaigns.pause(campaign, TESTER, fleet.now)
    fleet.step(hours=10)
    before = in_state(campaign, Member.MOVED)
    campaigns.go_on(campaign, TESTER, fleet.now)
    fleet.live(1)
    assert len(in_state(campaign, Member.MOVED) - before) < 6, "no herd after the pause"
    fleet.live(15)
    assert in_state(campaign, Member.WAITING), "half of the hour was left"
    fleet.live(16)
    assert state_of(campaign) == State.FINISHED


def test_who_was_asked_before_a_pause_is_spread_over_what_is_left(now):
    fleet = Fleet.of(40, now)
    campaign = started(fleet, of_old(), new_issuer(now), window_seconds=3600)
    fleet.live(58, obey=False)
    assert len(in_state(campaign, Member.ASKED)) > 30
    campaigns.pause(campaign, TESTER, fleet.now)
    fleet.step(seconds=1)
    campaigns.go_on(campaign, TESTER, fleet.now)
    fleet.step(minutes=1)
    assert 0 <= len(in_state(campaign, Member.ASKED)) < 20
    fleet.live(7)
    assert state_of(campaign) == State.FINISHED


def test_canaries_that_were_paused_are_watched_anew(fleet, target):
    campaign = started(fleet, of_old(), target, canary_percent=1, canary_seconds=600)
    canaries = fleet.asked()
    fleet.pass_time(minutes=9)
    campaigns.pause(campaign, TESTER, fleet.now)
    fleet.step(seconds=1)
    assert fleet.asked() == set()
    campaigns.go_on(campaign, TESTER, fleet.now)
    fleet.step(seconds=1)
    assert fleet.asked() == canaries
    fleet.obey()
    fleet.live(9)
    assert state_of(campaign) == State.CANARY
    fleet.live(2)
    assert state_of(campaign) != State.CANARY
