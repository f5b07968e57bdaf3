"""A step whose clock is wrong must not end campaigns: it is believed when the next one agrees."""

from datetime import timedelta

import pytest

from pki.models import Campaign
from pki.services.rotating import campaigns
from pki.services.rotating.selection import Selection
from tests.services.campaigns.cast import (
    Fleet,
    Member,
    State,
    new_issuer,
    old_issuer,
    started,
    state_of,
    states,
)
from tests.services.cast import TESTER

pytestmark = pytest.mark.usefixtures("ca")

YEAR = timedelta(days=365)


@pytest.fixture
def fleet(now):
    return Fleet.of(4, now)


@pytest.fixture
def campaign(fleet, now):
    plan = {"canary_percent": 25, "canary_seconds": 3 * 3600}
    return started(fleet, Selection(from_issuer=old_issuer()), new_issuer(now), **plan)


def stored(campaign):
    return Campaign.objects.filter(pk=campaign.pk).values().get()


def test_a_step_whose_clock_jumped_a_year_ends_nothing(fleet, campaign):
    campaigns.open_to_all(campaign, TESTER, fleet.now)
    fleet.step(minutes=1)
    before = states(campaign)
    campaigns.step(fleet.now + YEAR)
    assert state_of(campaign) == State.OPEN
    assert states(campaign) == before
    fleet.live(2)
    assert state_of(campaign) == State.FINISHED
    assert set(states(campaign).values()) == {Member.MOVED}


def test_nor_does_it_open_a_campaign_whose_canaries_were_not_watched(fleet, campaign):
    fleet.obey()
    campaigns.step(fleet.now + YEAR)
    fleet.step(minutes=1)
    campaigns.step(fleet.now + YEAR)
    fleet.step(minutes=1)
    assert state_of(campaign) == State.CANARY, "right steps come between the wrong ones"


def test_after_a_rest_the_second_step_goes_on(fleet, campaign):
    fleet.obey()
    before = stored(campaign)
    fleet.step(hours=5)
    assert stored(campaign) == before | {"doubted_at": fleet.now}
    fleet.step(minutes=1)
    assert state_of(campaign) == State.OPEN
    assert Campaign.objects.get().doubted_at is None


def test_a_wrong_clock_does_not_vouch_for_a_rest(fleet, campaign):
    fleet.obey()
    campaigns.step(fleet.now + YEAR)
    fleet.step(hours=5)
    assert state_of(campaign) == State.CANARY
    fleet.step(minutes=1)
    assert state_of(campaign) == State.OPEN


def test_a_clock_that_goes_back_is_believed_at_once(fleet, campaign):
    fleet.step(minutes=-10)
    fleet.obey()
    fleet.step(minutes=30)
    assert Campaign.objects.get().stepped_at == fleet.now
