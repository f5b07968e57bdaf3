"""A campaign leads a fleet to another issuer, or to new keys."""

from datetime import timedelta

import pytest

from pki.models import AuditEvent, Campaign, CampaignMember, Device, DeviceGroup, Issuer, Profile, Revocation
from pki.services.fleet import devices
from pki.services.revoking import revocation
from pki.services.rotating import campaigns, drafting, members, progress
from pki.services.rotating.selection import Selection
from tests.services.campaign_cast import (
    Fleet,
    Member,
    State,
    condemn,
    drafted,
    in_state,
    issuers_of,
    new_issuer,
    old_issuer,
    started,
    state_of,
    states,
)
from tests.services.cast import DAY, TESTER, Gadget, change_state, everything, token_for

pytestmark = pytest.mark.usefixtures("ca")


@pytest.fixture
def fleet(now):
    return Fleet.of(6, now)


@pytest.fixture
def target(fleet, now):
    return new_issuer(now)


def of_old():
    return Selection(from_issuer=old_issuer())


def group_of(*names):
    group = DeviceGroup.objects.create(name="hall")
    group.devices.add(*Device.objects.filter(name__in=names))
    return group


def events(kind):
    return list(AuditEvent.objects.filter(kind=f"campaign.{kind}").order_by("pk"))


# --- From the draft to the end --------------------------------------------------------------------


def test_a_draft_changes_nothing_for_any_device(fleet, target):
    drafted(fleet, of_old(), target)
    fleet.live(3)
    assert fleet.asked() == set()
    assert not CampaignMember.objects.exists()


def test_everybody_moves_when_all_are_asked_at_once(fleet, target):
    campaign = started(fleet, of_old(), target)
    assert fleet.asked() == set(fleet.shown)
    fleet.obey()
    assert set(states(campaign).values()) == {Member.MOVED}
    assert {each.issuer for each in fleet.shown.values()} == {target}
    fleet.step()
    assert state_of(campaign) == State.FINISHED


def test_who_was_issued_a_certificate_has_not_moved_until_it_shows_it(fleet, target):
    campaign = started(fleet, of_old(), target)
    fleet.renew("door-0")
    fleet.step(seconds=1)
    assert states(campaign)["door-0"] == Member.RENEWED
    assert CampaignMember.objects.get(device__name="door-0").certificate == fleet.shown["door-0"]
    fleet.pass_time(seconds=1)
    fleet.show("door-0")
    assert states(campaign)["door-0"] == Member.MOVED


def test_an_old_certificate_that_is_shown_moves_nobody(fleet, target):
    campaign = started(fleet, of_old(), target)
    fleet.pass_time(minutes=1)
    fleet.show()
    assert set(states(campaign).values()) == {Member.ASKED}


def test_canaries_go_first_and_the_rest_once_one_has_moved_and_time_has_passed(fleet, target):
    campaign = started(fleet, of_old(), target, canary_percent=1, canary_seconds=600)
    canaries = fleet.asked()
    assert len(canaries) == 1, "of few devices one at least"
    fleet.obey()
    fleet.live(9)
    assert state_of(campaign) == State.CANARY
    assert in_state(campaign, Member.MOVED) == canaries
    fleet.live(2)
    assert in_state(campaign, Member.MOVED) == set(fleet.shown)
    assert set(CampaignMember.objects.filter(canary=True).values_list("device__name", flat=True)) == canaries


def test_the_canaries_are_the_share_that_was_said(now):
    fleet = Fleet.of(40, now)
    started(fleet, of_old(), new_issuer(now), canary_percent=50, canary_seconds=600)
    canaries = fleet.asked()
    assert len(canaries) == 20
    assert canaries == set(CampaignMember.objects.filter(canary=True).values_list("device__name", flat=True))


def test_canaries_that_do_nothing_open_nothing(fleet, target):
    campaign = started(fleet, of_old(), target, canary_percent=1, canary_seconds=600)
    fleet.live(60, obey=False)
    assert state_of(campaign) == State.CANARY


def test_a_canary_that_failed_beyond_the_limit_keeps_it_from_opening_without_stopping_it(fleet, target):
    """One of two is half, which says little of a fleet; a person looks at it."""
    campaign = started(fleet, of_old(), target, canary_percent=50, canary_seconds=60)
    first, *others = sorted(fleet.asked())
    assert others, "this cast has two canaries at least"
    members.failed(Device.objects.get(name=first), "key_refused", "No such key.", fleet.now)
    fleet.move(*others)
    fleet.live(5, obey=False)
    assert state_of(campaign) == State.CANARY
    fleet.move(first)
    fleet.step(minutes=1)
    assert state_of(campaign) == State.OPEN


@pytest.mark.parametrize("state", [Issuer.State.COMPROMISED, Issuer.State.RETIRED])
def test_cancelling_gives_no_profile_an_issuer_that_signs_no_more(fleet, target, state):
    campaign = started(fleet, of_old(), target, canary_percent=0, window_seconds=0)
    fleet.live(1)
    assert Profile.objects.get(name="device").issuer == target
    condemn(campaign.from_issuer, state, fleet.now)
    campaigns.cancel(Campaign.objects.get(pk=campaign.pk), TESTER, fleet.now)
    assert Profile.objects.get(name="device").issuer == target


def test_it_is_opened_to_all_at_once_by_a_person(fleet, target):
    campaign = started(fleet, of_old(), target, canary_percent=1, canary_seconds=86_400)
    campaigns.open_to_all(campaign, TESTER, fleet.now)
    fleet.step(minutes=1)
    assert fleet.asked() == set(fleet.shown)


def test_the_fleet_is_asked_over_the_window(now):
    fleet = Fleet.of(40, now)
    campaign = started(fleet, of_old(), new_issuer(now), window_seconds=3600)
    assert fleet.asked() == set()
    fleet.live(30)
    half = len(in_state(campaign, Member.MOVED))
    assert 8 < half < 32
    fleet.live(31)
    assert state_of(campaign) == State.FINISHED
    assert {each.issuer.name for each in fleet.shown.values()} == {"Next CA"}


def test_no_device_is_refused_at_any_moment_of_it(fleet, target, now):
    """Its old certificate stands all the while; nothing is revoked."""
    started(fleet, of_old(), target)
    before = dict(fleet.shown)
    fleet.obey()
    fleet.live(2)
    assert not Revocation.objects.exists()
    assert {each.pk for each in before.values()} == set(old_issuer_certificates())


def old_issuer_certificates():
    issuer = Issuer.objects.exclude(parent=None).exclude(name="Next CA").get()
    return issuer.certificates.exclude(device=None).values_list("pk", flat=True)


def test_a_new_enrollment_by_token_counts_as_moved(fleet, target):
    campaign = started(fleet, of_old(), target)
    device = Device.objects.get(name="door-0")
    fleet.shown["door-0"] = Gadget("door-0").enroll(token_for(device, fleet.now), fleet.now).certificate
    fleet.show("door-0")
    assert states(campaign)["door-0"] == Member.MOVED


def test_who_moves_by_itself_before_it_is_asked_has_moved(fleet, target):
    campaign = started(fleet, of_old(), target, canary_percent=1, canary_seconds=86_400)
    other = next(iter(set(fleet.shown) - fleet.asked()))
    Device.objects.filter(name=other).update(issuer=target)
    fleet.move(other)
    assert states(campaign)[other] == Member.MOVED


# --- Which devices, and the profiles of a whole issuer --------------------------------------------


def test_only_the_devices_of_the_selection_are_led(fleet, target):
    group = group_of("door-1", "door-2")
    campaign = started(fleet, Selection(group=group), target)
    assert fleet.asked() == {"door-1", "door-2"} == set(states(campaign))
    fleet.live(3)
    assert state_of(campaign) == State.FINISHED
    assert issuers_of(fleet.shown) == {
        name: "Next CA" if name in ("door-1", "door-2") else None for name in fleet.shown
    }
    assert devices.default_profile().issuer != target


def test_a_whole_issuers_profiles_follow_when_it_opens_and_devices_need_no_override_in_the_end(fleet, target):
    campaign = started(fleet, of_old(), target, canary_percent=1, canary_seconds=60)
    assert devices.default_profile().issuer != target, "not while canaries are watched"
    fleet.live(5)
    assert state_of(campaign) == State.FINISHED
    assert devices.default_profile().issuer == target
    assert set(issuers_of(fleet.shown).values()) == {None}
    fleet.renew("door-3")
    assert fleet.shown["door-3"].issuer == target


def test_the_listeners_own_profile_is_an_administrators_to_change(fleet, target):
    started(fleet, of_old(), target)
    assert Profile.objects.get(name="server").issuer != target


def test_a_device_that_enrolls_while_canaries_are_watched_is_led_too(fleet, target):
    campaign = started(fleet, of_old(), target, canary_percent=1, canary_seconds=120)
    fleet.obey()
    fleet.enroll("late")
    fleet.live(6)
    assert states(campaign)["late"] == Member.MOVED
    assert fleet.shown["late"].issuer == target


def test_a_group_that_changes_meanwhile_changes_nothing(fleet, target):
    group = group_of("door-1", "door-2")
    campaign = started(fleet, Selection(group=group), target, canary_percent=1, canary_seconds=60)
    group.devices.set(Device.objects.filter(name__in=["door-2", "door-3"]))
    fleet.live(5)
    assert set(states(campaign)) == {"door-1", "door-2"}


def test_a_device_that_another_campaign_leads_is_left_out_and_counted(fleet, target, now):
    group = group_of("door-1", "door-2")
    first = started(fleet, Selection(group=group), target, name="first", canary_percent=1)
    second = started(fleet, of_old(), new_issuer(now, "Third CA"), name="second")
    assert set(states(second)) == set(fleet.shown) - {"door-1", "door-2"}
    assert second.elsewhere == 2
    campaigns.cancel(first, TESTER, fleet.now)
    fleet.step(minutes=1)
    assert not CampaignMember.objects.filter(campaign=first, living=True).exists()


def test_a_campaign_that_finds_nobody_any_more_is_over(fleet, target):
    group = group_of("door-1")
    campaign = drafted(fleet, Selection(group=group), target, canary_percent=5)
    group.devices.clear()
    campaigns.start(campaign, TESTER, fleet.now)
    fleet.step(minutes=1)
    campaign.refresh_from_db()
    assert (campaign.state, campaign.reason) == (State.FINISHED, "No device was found that it could move.")


# --- Pausing and going on -------------------------------------------------------------------------


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


# --- Failing, and stopping by itself --------------------------------------------------------------


def fail(fleet, *names, code="key_refused"):
    for name in names:
        members.failed(Device.objects.get(name=name), code, "It has no such key.", fleet.now)


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


# --- Devices that change meanwhile ----------------------------------------------------------------


def test_a_retired_device_is_left_out_whenever_it_is_retired(fleet, target):
    campaign = started(fleet, of_old(), target, canary_percent=1, canary_seconds=60)
    (canary,) = fleet.asked()
    other = next(iter(set(fleet.shown) - {canary}))
    change_state(Device.objects.get(name=other), Device.State.RETIRED, fleet.now)
    campaigns.open_to_all(campaign, TESTER, fleet.now)
    fleet.step(minutes=1)
    assert states(campaign)[other] == Member.LEFT
    change_state(Device.objects.get(name=canary), Device.State.RETIRED, fleet.now)
    fleet.step(minutes=1)
    assert states(campaign)[canary] == Member.LEFT
    fleet.move(*(set(fleet.shown) - {canary, other}))
    fleet.step(minutes=1)
    assert state_of(campaign) == State.FINISHED


def test_a_suspended_device_is_waited_for_and_moves_once_resumed(fleet, target):
    campaign = started(fleet, of_old(), target)
    door = Device.objects.get(name="door-0")
    change_state(door, Device.State.SUSPENDED, fleet.now)
    fleet.move(*(set(fleet.shown) - {"door-0"}))
    fleet.live(3, obey=False)
    assert state_of(campaign) == State.OPEN
    change_state(door, Device.State.ACTIVE, fleet.now)
    fleet.live(2)
    assert state_of(campaign) == State.FINISHED


def test_a_device_without_any_good_certificate_has_nothing_to_move(fleet, target):
    campaign = started(fleet, of_old(), target)
    revocation.revoke([fleet.shown["door-0"]], Revocation.Reason.KEY_COMPROMISE, TESTER, fleet.now)
    fleet.step(minutes=1)
    assert states(campaign)["door-0"] == Member.UNABLE
    fleet.move("door-0")
    assert states(campaign)["door-0"] == Member.MOVED, "but it may enroll again, under the new issuer"


def test_a_certificate_on_hold_may_come_back_and_is_waited_for(fleet, target):
    campaign = started(fleet, of_old(), target)
    revocation.revoke([fleet.shown["door-0"]], Revocation.Reason.CERTIFICATE_HOLD, TESTER, fleet.now)
    fleet.step(minutes=1)
    assert states(campaign)["door-0"] == Member.ASKED


def test_devices_whose_certificates_end_while_it_is_paused_are_not_waited_for(fleet, target):
    campaign = started(fleet, of_old(), target, canary_percent=1, canary_seconds=600)
    campaigns.pause(campaign, TESTER, fleet.now)
    fleet.pass_time(days=60)
    campaigns.go_on(campaign, TESTER, fleet.now)
    campaigns.open_to_all(campaign, TESTER, fleet.now)
    fleet.step(minutes=1)
    assert set(states(campaign).values()) == {Member.UNABLE}
    fleet.step(minutes=1)
    assert state_of(campaign) == State.FINISHED


# --- Keys -----------------------------------------------------------------------------------------


def test_a_campaign_for_keys_rotates_them_and_supersedes_the_old_ones(fleet):
    campaign = started(fleet, of_old())
    before = {each.pk for each in fleet.shown.values()}
    assert fleet.asked() == set(fleet.shown)
    fleet.pass_time(seconds=1)
    fleet.obey()
    assert set(states(campaign).values()) == {Member.MOVED}
    assert fleet.asked() == set()
    assert {each.certificate_id for each in Revocation.objects.all()} == before
    assert set(Revocation.objects.values_list("reason", flat=True)) == {"superseded"}
    assert not AuditEvent.objects.filter(kind="rotation.completed").exists(), "the campaign counts them"
    fleet.step(minutes=1)
    assert state_of(campaign) == State.FINISHED


def test_keys_of_before_a_date_are_rotated_and_younger_ones_are_not(fleet, now):
    fleet.now = now - DAY
    fleet.renew("door-2")
    fleet.now = now
    campaign = started(fleet, Selection(keys_before=now - timedelta(hours=30)))
    assert set(states(campaign)) == set(fleet.shown) - {"door-2"}


def test_a_new_certificate_for_the_old_key_is_no_new_key(fleet, now):
    """A campaign goes by keys, and not by certificates."""
    fleet.now = now - DAY
    fleet.shown["door-2"] = fleet.certified("door-2", new_key=False)
    fleet.now = now
    campaign = started(fleet, Selection(keys_before=now - timedelta(hours=30)))
    assert states(campaign)["door-2"] == Member.ASKED


def test_pausing_a_campaign_for_keys_leaves_what_a_person_asked_for_since(fleet):
    campaign = started(fleet, of_old())
    later = fleet.now + timedelta(seconds=5)
    Device.objects.filter(name="door-0").update(rotation_requested_at=later)
    fleet.pass_time(seconds=10)
    campaigns.pause(campaign, TESTER, fleet.now)
    fleet.step(seconds=1)
    assert fleet.asked() == {"door-0"}


def test_keys_cannot_be_rolled_back(fleet):
    campaign = started(fleet, of_old())
    before = everything()
    with pytest.raises(campaigns.RollBackImpossible, match="does not come back"):
        campaigns.roll_back(campaign, TESTER, fleet.now)
    assert everything() == before


def test_cancelling_a_campaign_for_keys_ends_the_rotations(fleet):
    campaign = started(fleet, of_old())
    campaigns.cancel(campaign, TESTER, fleet.now)
    fleet.step(seconds=1)
    assert fleet.asked() == set()
    assert not Device.objects.exclude(rotation_requested_at=None).exists()
