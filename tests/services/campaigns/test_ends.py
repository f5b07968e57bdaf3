"""How campaigns end: rolled back, finished, cancelled."""

import pytest

from pki.models import Campaign, CampaignMember, Device, Issuer, Profile
from pki.services.fleet import devices
from pki.services.rotating import campaigns, overrides, progress
from pki.services.rotating.selection import Selection
from tests.services.campaigns.cast import (
    Member,
    State,
    condemn,
    events,
    fail,
    group_of,
    issuers_of,
    new_issuer,
    of_old,
    old_issuer,
    started,
    state_of,
    states,
    under_another_root,
)
from tests.services.cast import TESTER, everything

pytestmark = pytest.mark.usefixtures("ca")


# --- Rolling back ---------------------------------------------------------------------------------


def test_rolling_back_brings_back_who_has_moved_and_the_profiles(fleet, target):
    campaign = started(fleet, of_old(), target)
    old = fleet.shown["door-0"].issuer
    fleet.move("door-0", "door-1")
    campaigns.roll_back(campaign, TESTER, fleet.now)
    assert devices.default_profile().issuer == old
    fleet.step(seconds=1)
    assert fleet.asked() == {"door-0", "door-1"}
    assert state_of(campaign) == State.ROLLING_BACK
    fleet.live(2)
    assert state_of(campaign) == State.ROLLED_BACK
    assert {each.issuer for each in fleet.shown.values()} == {old}
    assert set(issuers_of(fleet.shown).values()) == {None}
    assert not CampaignMember.objects.filter(living=True).exists()


def test_devices_of_several_issuers_go_back_each_to_its_own(fleet, target, now):
    third = new_issuer(now, "Third CA")
    Device.objects.filter(name="door-1").update(issuer=third)
    fleet.move("door-1")
    group = group_of("door-0", "door-1")
    campaign = started(fleet, Selection(group=group), target)
    fleet.obey()
    campaigns.roll_back(campaign, TESTER, fleet.now)
    fleet.live(3)
    assert state_of(campaign) == State.ROLLED_BACK
    assert fleet.shown["door-1"].issuer == third
    assert fleet.shown["door-0"].issuer == old_issuer()


def test_who_gets_the_new_certificate_at_the_very_moment_of_rolling_back_comes_back_too(fleet, target):
    campaign = started(fleet, Selection(group=group_of("door-0", "door-1")), target)
    device = Device.objects.select_related("profile__issuer", "issuer").get(name="door-0")
    campaigns.roll_back(campaign, TESTER, fleet.now)
    fleet.step(seconds=1)
    assert states(campaign)["door-0"] == Member.LEFT
    Device.objects.filter(pk=device.pk).update(issuer=target)  # as the renewal under way knew it
    fleet.renew("door-0")
    Device.objects.filter(pk=device.pk).update(issuer=old_issuer())
    # The other has something to bring back, so that the campaign goes on.
    CampaignMember.objects.filter(device__name="door-1").update(state=Member.ASKED)
    Campaign.objects.filter(pk=campaign.pk).update(state=State.ROLLING_BACK, gathered_up_to=None)
    CampaignMember.objects.update(living=True)
    fleet.show("door-0")
    assert states(campaign)["door-0"] == Member.ASKED
    fleet.move("door-0")
    assert states(campaign)["door-0"] == Member.MOVED


def test_who_enrolled_with_the_new_issuer_meanwhile_is_counted_when_it_is_rolled_back(fleet, target):
    campaign = started(fleet, of_old(), target, window_seconds=6000)
    fleet.live(2)
    fleet.enroll("late")
    fleet.renew("late")
    assert "late" not in states(campaign)
    assert progress.came_meanwhile(Campaign.objects.get(), fleet.now) == 1
    campaigns.roll_back(campaign, TESTER, fleet.now)
    (event,) = events("rolling_back")
    assert event.detail["not_led"] == 1
    fleet.live(3)
    assert fleet.shown["late"].issuer == target
    fleet.renew("late")
    assert fleet.shown["late"].issuer == old_issuer(), "as is said before"


def test_who_is_led_is_not_counted_as_one_that_came_meanwhile(fleet, target):
    campaign = started(fleet, of_old(), target)
    fleet.obey()
    assert progress.came_meanwhile(Campaign.objects.get(), fleet.now) == 0
    campaigns.roll_back(campaign, TESTER, fleet.now)
    (event,) = events("rolling_back")
    assert "not_led" not in event.detail


def test_it_can_be_rolled_back_after_it_stopped(fleet, target):
    campaign = started(fleet, of_old(), target)
    fleet.move("door-4", "door-5")
    fail(fleet, "door-0", "door-1", "door-2")
    fleet.live(2, obey=False)
    campaigns.roll_back(campaign, TESTER, fleet.now)
    fleet.live(3)
    assert state_of(campaign) == State.ROLLED_BACK
    assert {each.issuer for each in fleet.shown.values()} == {old_issuer()}


@pytest.mark.parametrize("state", [Issuer.State.RETIRED, Issuer.State.COMPROMISED])
def test_there_is_no_way_back_to_an_issuer_that_cannot_sign(fleet, target, state):
    campaign = started(fleet, of_old(), target)
    condemn(campaign.from_issuer, state, fleet.now)
    before = everything()
    with pytest.raises(campaigns.RollBackImpossible, match=str(state)):
        campaigns.roll_back(campaign, TESTER, fleet.now)
    assert everything() == before


def test_there_is_no_way_back_below_a_compromised_root(fleet, now):
    target = under_another_root(now)
    campaign = started(fleet, of_old(), target)
    fleet.move("door-0", "door-1")
    condemn(campaign.from_issuer.parent, Issuer.State.COMPROMISED, fleet.now)
    before = everything()
    with pytest.raises(
        campaigns.RollBackImpossible, match=f"below the compromised {campaign.from_issuer.parent}"
    ):
        campaigns.roll_back(campaign, TESTER, fleet.now)
    assert everything() == before
    campaigns.cancel(campaign, TESTER, fleet.now)
    fleet.step(minutes=1)
    assert devices.default_profile().issuer == target, "no profile goes back to one that is lost"
    assert not fleet.asked()


def test_who_rolls_back_when_the_root_of_before_is_compromised_stays_where_it_is(fleet, now):
    campaign = started(fleet, of_old(), under_another_root(now))
    fleet.move("door-0", "door-1")
    campaigns.roll_back(campaign, TESTER, fleet.now)
    condemn(campaign.from_issuer.parent, Issuer.State.COMPROMISED, fleet.now)
    fleet.live(3)
    assert not fleet.asked()
    assert {fleet.shown[name].issuer for name in ("door-0", "door-1")} == {campaign.to_issuer}


def test_a_member_whose_own_issuer_cannot_sign_is_left_where_it_is(fleet, target, now):
    third = new_issuer(now, "Third CA")
    Device.objects.filter(name="door-1").update(issuer=third)
    fleet.move("door-1")
    campaign = started(fleet, Selection(group=group_of("door-0", "door-1")), target)
    fleet.obey()
    condemn(third, Issuer.State.RETIRED, fleet.now)
    campaigns.roll_back(campaign, TESTER, fleet.now)
    fleet.live(3)
    assert state_of(campaign) == State.ROLLED_BACK
    assert states(campaign) == {"door-0": Member.MOVED, "door-1": Member.LEFT}
    assert CampaignMember.objects.get(device__name="door-1").reason
    assert issuers_of(["door-1"]) == {"door-1": "Next CA"}


# --- Ending ---------------------------------------------------------------------------------------


def test_it_waits_for_laggards_until_a_person_ends_it_and_they_are_named(fleet, target):
    campaign = started(fleet, of_old(), target)
    fleet.move("door-0", "door-1", "door-2", "door-3")
    fleet.live(3, obey=False)
    assert state_of(campaign) == State.OPEN
    assert {each.device.name for each in progress.laggards(campaign, 10)} == {"door-4", "door-5"}
    campaigns.finish(campaign, TESTER, fleet.now)
    (event,) = events("finished")
    assert sorted(event.detail["laggards"]) == ["door-4", "door-5"]
    assert event.detail["moved"] == 4
    fleet.step(minutes=1)
    assert fleet.asked() == {"door-4", "door-5"}, "whenever they come"


def test_cancelling_asks_nobody_any_more_and_leaves_who_has_moved(fleet, target):
    campaign = started(fleet, of_old(), target)
    old = fleet.shown["door-5"].issuer
    fleet.move("door-0")
    campaigns.cancel(campaign, TESTER, fleet.now)
    fleet.step(seconds=1)
    assert fleet.asked() == set()
    assert devices.default_profile().issuer == old
    fleet.renew("door-0", "door-1")
    assert fleet.shown["door-0"].issuer == target
    assert fleet.shown["door-1"].issuer == old
    assert not CampaignMember.objects.filter(living=True).exists()


def test_a_profile_that_somebody_changed_meanwhile_is_not_changed_back(fleet, target, now):
    campaign = started(fleet, of_old(), target)
    third = new_issuer(now, "Third CA")
    Profile.objects.filter(name="device").update(issuer=third)
    campaigns.roll_back(campaign, TESTER, fleet.now)
    assert devices.default_profile().issuer == third


def test_a_device_is_free_for_another_campaign_once_one_has_ended(fleet, target, now):
    first = started(fleet, of_old(), target, name="first")
    fleet.live(3)
    assert state_of(first) == State.FINISHED
    second = started(fleet, Selection(from_issuer=target), new_issuer(now, "Third CA"), name="second")
    assert len(states(second)) == 6
    fleet.live(3)
    assert state_of(second) == State.FINISHED


def test_a_campaign_that_is_cancelled_leaves_those_asked_who_left_it_for_another(fleet, target):
    first = started(fleet, Selection(group=group_of("door-0", "door-1")), target, name="first")
    overrides.clear(Device.objects.get(name="door-0"), TESTER, fleet.now)
    yard = Selection(group=group_of("door-0", "door-2", name="yard"))
    second = started(fleet, yard, target, name="second")
    campaigns.cancel(first, TESTER, fleet.now)
    fleet.step(minutes=1)
    assert fleet.asked() == {"door-0", "door-2"}
    fleet.live(3)
    assert states(second) == {"door-0": Member.MOVED, "door-2": Member.MOVED}
    assert state_of(second) == State.FINISHED


def test_a_campaign_that_is_finished_leaves_those_asked_who_moved_and_left_it_for_another(fleet, target, now):
    first = started(fleet, Selection(group=group_of("door-0", "door-1")), target, name="first")
    fleet.move("door-0")
    third = new_issuer(now, "Third CA")
    device = Device.objects.get(name="door-0")
    device.profile = Profile.objects.create(name="third", issuer=third)
    devices.amend(device, ["profile"], TESTER, fleet.now)
    yard = Selection(group=group_of("door-0", "door-2", name="yard"))
    second = started(fleet, yard, third, name="second")
    campaigns.finish(first, TESTER, fleet.now)
    fleet.step(minutes=1)
    assert fleet.asked() == {"door-0", "door-1", "door-2"}
    fleet.live(3)
    assert states(second) == {"door-0": Member.MOVED, "door-2": Member.MOVED}
    assert state_of(second) == State.FINISHED
