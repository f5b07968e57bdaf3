"""A campaign that goes wrong stops by itself."""

import pytest

from pki.models import CampaignMember, Issuer
from pki.services.rotating import campaigns, drafting, members
from tests.services.campaigns.cast import (
    Member,
    State,
    condemn,
    events,
    fail,
    in_state,
    of_old,
    started,
    state_of,
    states,
)
from tests.services.cast import TESTER, everything

pytestmark = pytest.mark.usefixtures("ca")


def test_it_stops_when_more_failed_than_may_and_takes_the_asking_back(fleet, target):
    campaign = started(fleet, of_old(), target, failures_percent=34)
    fleet.pass_time(seconds=1)
    fail(fleet, "door-0", "door-1")
    fleet.step(minutes=1)
    assert state_of(campaign) == State.OPEN
    fail(fleet, "door-2")
    fleet.step(minutes=1)
    campaign.refresh_from_db()
    assert campaign.state == State.STOPPED
    assert campaign.reason == "3 of 6 devices that were asked failed; the limit is 34 %."
    fleet.step(minutes=1)
    assert fleet.asked() == set()
    assert in_state(campaign, Member.FAILED) == {"door-0", "door-1", "door-2"}
    (event,) = events("stopped")
    assert event.detail["failed"] == 3
    assert event.actor == "hatchery"


def test_two_failures_never_stop_it(fleet, target):
    campaign = started(fleet, of_old(), target, failures_percent=0)
    fail(fleet, "door-0", "door-1")
    fleet.live(3, obey=False)
    assert state_of(campaign) == State.OPEN


def test_a_suspended_devices_refusal_is_no_failure(fleet, target):
    campaign = started(fleet, of_old(), target)
    fail(fleet, "door-0", code="device_inactive")
    assert states(campaign)["door-0"] == Member.ASKED


def test_who_was_not_asked_cannot_fail(fleet, target):
    campaign = started(fleet, of_old(), target, canary_percent=1, canary_seconds=86_400)
    other = next(iter(set(fleet.shown) - fleet.asked()))
    before = everything()
    fail(fleet, other)
    assert everything() == before
    assert states(campaign)[other] == Member.WAITING


def test_a_failed_device_that_moves_later_has_moved(fleet, target):
    campaign = started(fleet, of_old(), target)
    fail(fleet, "door-0")
    fleet.move("door-0")
    assert states(campaign)["door-0"] == Member.MOVED


def test_who_shows_its_old_certificate_ten_minutes_after_the_new_one_has_failed(fleet, target):
    campaign = started(fleet, of_old(), target)
    old = fleet.shown["door-0"]
    fleet.renew("door-0")
    fleet.step(seconds=1)
    fleet.shown["door-0"] = old
    fleet.pass_time(minutes=9)
    fleet.show("door-0")
    assert states(campaign)["door-0"] == Member.RENEWED
    fleet.pass_time(minutes=2)
    fleet.show("door-0")
    member = CampaignMember.objects.get(campaign=campaign, device__name="door-0")
    assert (member.state, member.code) == (Member.FAILED, members.NOT_USED)
    assert "10 minutes" in member.reason


def test_who_failed_is_asked_again_after_it_goes_on_and_old_failures_do_not_stop_it_again(fleet, target):
    campaign = started(fleet, of_old(), target)
    fail(fleet, "door-0", "door-1", "door-2")
    fleet.live(2, obey=False)
    assert state_of(campaign) == State.STOPPED
    campaigns.go_on(campaign, TESTER, fleet.now)
    fleet.step(minutes=1)
    assert fleet.asked() == set(fleet.shown)
    fleet.live(3)
    assert state_of(campaign) == State.FINISHED


def test_it_stops_again_when_they_fail_again(fleet, target):
    campaign = started(fleet, of_old(), target)
    for _ in range(2):
        fleet.pass_time(minutes=1)
        fail(fleet, "door-0", "door-1", "door-2")
        fleet.live(2, obey=False)
        assert state_of(campaign) == State.STOPPED
        campaigns.go_on(campaign, TESTER, fleet.now)
        fleet.step(minutes=1)


GONE = {
    "retired": lambda issuer, now: condemn(issuer, Issuer.State.RETIRED, now),
    "compromised": lambda issuer, now: condemn(issuer, Issuer.State.COMPROMISED, now),
    "under a compromised root": lambda issuer, now: condemn(issuer.parent, Issuer.State.COMPROMISED, now),
}


@pytest.mark.parametrize("scene", GONE.values(), ids=GONE)
def test_it_stops_when_its_target_cannot_sign_any_more(fleet, target, scene):
    campaign = started(fleet, of_old(), target, canary_percent=1, canary_seconds=600)
    scene(target, fleet.now)
    fleet.step(minutes=1)
    campaign.refresh_from_db()
    assert campaign.state == State.STOPPED
    assert campaign.reason
    with pytest.raises(drafting.TargetUnfit):
        campaigns.go_on(campaign, TESTER, fleet.now)
    fleet.step(minutes=1)
    assert fleet.asked() == set()
