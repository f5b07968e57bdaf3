"""Who signs instead of a profile's issuer, since a campaign: where that decision holds, and where it ends."""

import pytest

from pki.models import AuditEvent, Campaign, CampaignMember, Device, Issuer, Profile
from pki.services import by_hand
from pki.services.fleet import devices
from pki.services.issuing import issuance, profiles
from pki.services.proving import status
from pki.services.rotating import asking, campaigns, overrides, switching
from pki.services.rotating.selection import Selection
from tests.services.campaigns.cast import (
    Fleet,
    condemn,
    group_of,
    issuers_of,
    new_issuer,
    old_issuer,
    started,
    states,
    under_another_root,
)
from tests.services.cast import DAY, TESTER, at_once, everything

S = Campaign.State


@pytest.fixture
def fleet(ca, now):
    return Fleet.of(3, now)


@pytest.fixture
def berlin(fleet, target):
    """A finished campaign of two of three devices: door-0 has moved, door-1 has not."""
    campaign = started(fleet, Selection(group=group_of("door-0", "door-1")), target)
    fleet.move("door-0")
    campaigns.finish(campaign, TESTER, fleet.now)
    fleet.step()
    return campaign


def profile_of(issuer, name="other"):
    profile = devices.default_profile()
    profile.pk, profile.name, profile.issuer = None, name, issuer
    profile.save()
    return profile


def give(device, profile, now):
    found = Device.objects.select_related("profile").get(name=device)
    found.profile = profile
    devices.amend(found, ["profile"], TESTER, now)


def issuer_for(fleet, name):
    return fleet.certified(name).issuer


def rename_issuer_of(profile, issuer, now):
    profile.issuer = issuer
    profiles.save(profile, ["issuer"], TESTER, now)


# --- While it holds -------------------------------------------------------------------------------


def test_it_beats_the_profile_after_the_campaign_for_who_moved_and_for_who_did_not(fleet, berlin, target):
    assert issuers_of(["door-0", "door-1", "door-2"]) == {
        "door-0": target.name,
        "door-1": target.name,
        "door-2": None,
    }
    assert [issuer_for(fleet, name) for name in ("door-0", "door-1")] == [target, target]
    assert issuer_for(fleet, "door-2") == old_issuer()
    for name in ("door-0", "door-1"):
        assert overrides.made_by(Device.objects.get(name=name)) == berlin


def test_who_signs_is_told_alike_by_all_that_tell_it(fleet, berlin, target):
    device = Device.objects.get(name="door-1")
    look = by_hand.preview(by_hand.Holder(name="door-1"), "P-256", fleet.now)
    assert look.issuer == device.next_issuer(fleet.now) == issuer_for(fleet, "door-1") == target


# --- One that cannot sign is no decision ----------------------------------------------------------


@pytest.mark.parametrize("trouble", ["retired", "compromised", "below a compromised root", "ended"])
def test_one_that_cannot_sign_is_ignored_however_it_came_to_be_there(fleet, target, trouble):
    # As a step might set it that began before the issuer was condemned.
    Device.objects.update(issuer=target)
    if trouble == "ended":
        Issuer.objects.filter(pk=target.pk).update(not_after=fleet.now)
    elif trouble in Issuer.State:
        Issuer.objects.filter(pk=target.pk).update(state=trouble)
    else:
        target = under_another_root(fleet.now)
        Device.objects.update(issuer=target)
        Issuer.objects.filter(pk=target.parent_id).update(state=Issuer.State.COMPROMISED)
    assert Device.objects.get(name="door-0").next_issuer(fleet.now) == old_issuer()
    assert not status.standing(fleet.shown["door-0"].fingerprint, fleet.now).asked, "it would renew for ever"
    assert issuer_for(fleet, "door-0") == old_issuer()


def test_one_that_can_sign_asks_who_has_another(fleet, target):
    Device.objects.update(issuer=target)
    assert status.standing(fleet.shown["door-0"].fingerprint, fleet.now).asked


def test_what_is_refused_names_the_profiles_issuer_and_what_is_wrong_with_it(fleet, berlin, target):
    condemn(target, Issuer.State.RETIRED, fleet.now)
    condemn(old_issuer(), Issuer.State.RETIRED, fleet.now)
    with pytest.raises(issuance.IssuerInactive, match=f"{old_issuer()}.*is retired"):
        fleet.certified("door-0")


# --- Where it ends --------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["retired", "compromised"])
def test_an_issuer_that_is_condemned_takes_its_decisions_with_it_on_record(fleet, berlin, target, state):
    condemn(target, Issuer.State(state), fleet.now)
    assert not Device.objects.exclude(issuer=None).exists()
    assert AuditEvent.objects.get(kind=f"issuer.{state}").detail["devices_follow_profiles"] == 2
    assert issuer_for(fleet, "door-0") == old_issuer()


def test_a_root_that_is_compromised_takes_the_decisions_for_those_below_with_it(fleet, berlin, target):
    condemn(target.parent, Issuer.State.COMPROMISED, fleet.now)
    assert not Device.objects.exclude(issuer=None).exists()


def test_a_root_that_is_retired_leaves_those_below_as_they_are(fleet, berlin, target):
    condemn(target.parent, Issuer.State.RETIRED, fleet.now)
    assert issuers_of(["door-0"]) == {"door-0": target.name}


def test_an_issuer_that_is_taken_back_brings_no_decision_back(fleet, berlin, target):
    condemn(target, Issuer.State.RETIRED, fleet.now)
    condemn(target, Issuer.State.ACTIVE, fleet.now)
    assert issuer_for(fleet, "door-0") == old_issuer()


def test_a_campaign_at_work_goes_on_when_its_target_is_taken_back(fleet, target):
    campaign = started(fleet, Selection(group=group_of("door-0", "door-1")), target)
    fleet.move("door-0")
    condemn(target, Issuer.State.RETIRED, fleet.now)
    fleet.step(minutes=1)
    assert Campaign.objects.get(pk=campaign.pk).state == S.STOPPED
    assert issuer_for(fleet, "door-0") == old_issuer(), "for as long as it is retired"
    condemn(target, Issuer.State.ACTIVE, fleet.now)
    campaigns.go_on(campaign, TESTER, fleet.now)
    assert issuer_for(fleet, "door-0") == target
    fleet.live(3)
    assert states(campaign) == {"door-0": "moved", "door-1": "moved"}


def test_a_campaign_that_ends_while_its_target_is_retired_leaves_no_decision_for_it(fleet, target):
    campaign = started(fleet, Selection(group=group_of("door-0", "door-1")), target)
    fleet.move("door-0")
    condemn(target, Issuer.State.RETIRED, fleet.now)
    fleet.step(minutes=1)
    campaigns.cancel(campaign, TESTER, fleet.now)
    fleet.step(minutes=1)
    condemn(target, Issuer.State.ACTIVE, fleet.now)
    assert not Device.objects.exclude(issuer=None).exists()


def test_laggards_whose_certificates_ended_follow_a_profile_that_is_given_another_issuer(fleet, target):
    """A campaign of a whole issuer is finished; weeks later that issuer is replaced, and retired."""
    campaign = started(fleet, Selection(from_issuer=old_issuer()), target)
    campaigns.finish(campaign, TESTER, fleet.now)
    fleet.step()
    fleet.pass_time(days=400)
    third = new_issuer(fleet.now, "Third CA")
    rename_issuer_of(devices.default_profile(), third, fleet.now)
    assert issuer_for(fleet, "door-0") == third
    event = AuditEvent.objects.filter(kind="profile.saved").latest("pk")
    assert event.detail["devices_follow_it"] == 3


def test_a_group_that_was_moved_elsewhere_stays_there_when_the_profile_is_given_another_issuer(
    fleet, berlin, target
):
    rename_issuer_of(devices.default_profile(), new_issuer(fleet.now, "Third CA"), fleet.now)
    assert issuer_for(fleet, "door-0") == target


def test_who_is_asked_stays_so_when_a_campaign_gives_the_profile_the_new_issuer(fleet, target):
    started(fleet, Selection(from_issuer=old_issuer()), target)
    assert devices.default_profile().issuer == target
    assert fleet.asked() == {"door-0", "door-1", "door-2"}


@pytest.mark.parametrize("deed", [campaigns.finish, campaigns.roll_back, campaigns.cancel])
def test_a_profile_that_is_given_a_third_issuer_while_a_campaign_is_at_work_is_followed_after_it(
    fleet, target, deed
):
    campaign = started(fleet, Selection(from_issuer=old_issuer()), target)
    fleet.move("door-0")
    third = new_issuer(fleet.now, "Third CA")
    rename_issuer_of(devices.default_profile(), third, fleet.now)
    assert "door-1" in fleet.asked(), "while it is at work"
    deed(campaign, TESTER, fleet.now)
    fleet.live(3)
    assert Campaign.objects.get(pk=campaign.pk).state in Campaign.ENDED
    assert {issuer_for(fleet, name) for name in fleet.shown} == {third}


def test_a_profile_that_is_given_its_old_issuer_by_hand_is_followed_after_the_campaign(fleet, target):
    old = old_issuer()
    started(fleet, Selection(from_issuer=old), target)
    rename_issuer_of(devices.default_profile(), old, fleet.now)
    fleet.live(3)
    assert {issuer_for(fleet, name) for name in fleet.shown} == {old}


def test_a_decision_of_an_earlier_campaign_is_not_dropped_with_those_of_this_one(fleet, berlin, target, now):
    other = new_issuer(now, "Other CA")
    old = Selection(from_issuer=old_issuer())
    campaign = started(fleet, old, other, name="autumn", window_seconds=6000)
    rename_issuer_of(devices.default_profile(), new_issuer(now, "Third CA"), fleet.now)
    assert states(campaign)["door-1"] == "waiting"
    campaigns.cancel(campaign, TESTER, fleet.now)
    fleet.step(minutes=1)
    assert issuer_for(fleet, "door-1") == target


# --- Another profile ------------------------------------------------------------------------------


def test_a_device_that_is_given_a_profile_of_another_issuer_follows_that(fleet, berlin, target):
    third = new_issuer(fleet.now, "Third CA")
    give("door-0", profile_of(third), fleet.now)
    assert issuer_for(fleet, "door-0") == third
    event = AuditEvent.objects.get(kind="device.amended")
    assert event.detail["instead_of"] == target.name


def test_a_profile_of_the_same_issuer_changes_nothing_of_it(fleet, berlin, target):
    give("door-0", profile_of(old_issuer()), fleet.now)
    assert issuer_for(fleet, "door-0") == target
    assert "instead_of" not in AuditEvent.objects.get(kind="device.amended").detail


@pytest.mark.parametrize("moved", [False, True], ids=["asked", "moved"])
def test_a_campaign_at_work_leaves_a_device_alone_that_was_given_such_a_profile(fleet, target, moved):
    campaign = started(fleet, Selection(group=group_of("door-0", "door-1")), target)
    fleet.renew("door-0")
    if moved:
        fleet.show("door-0")
    third = new_issuer(fleet.now, "Third CA")
    give("door-0", profile_of(third), fleet.now)
    fleet.show("door-0"), fleet.step(minutes=1)
    assert issuers_of(["door-0"]) == {"door-0": None}, "also when it shows what it was given before"
    campaigns.roll_back(campaign, TESTER, fleet.now)
    fleet.live(3)
    assert issuer_for(fleet, "door-0") == third
    assert Campaign.objects.get(pk=campaign.pk).state == S.ROLLED_BACK, "it is not waited for"


def test_one_that_waits_to_be_asked_is_not_asked_after_that(fleet, target):
    campaign = started(fleet, Selection(group=group_of("door-0", "door-1")), target, window_seconds=600)
    assert states(campaign) == {"door-0": "waiting", "door-1": "waiting"}
    give("door-0", profile_of(new_issuer(fleet.now, "Third CA")), fleet.now)
    fleet.live(12)
    assert states(campaign) == {"door-0": "left", "door-1": "moved"}
    assert issuers_of(["door-0"]) == {"door-0": None}


def test_a_profile_of_the_very_issuer_that_it_moves_to_keeps_it_asked(fleet, target):
    campaign = started(fleet, Selection(group=group_of("door-0", "door-1")), target)
    give("door-0", profile_of(target), fleet.now)
    assert "door-0" in fleet.asked()
    fleet.live(2)
    assert states(campaign)["door-0"] == "moved"
    assert issuers_of(["door-0"]) == {"door-0": None}, "it says what the profile says"


# --- By hand --------------------------------------------------------------------------------------


def test_a_device_is_let_follow_its_profile_again_once_on_record(fleet, berlin, target):
    device = Device.objects.get(name="door-0")
    assert overrides.clear(device, TESTER, fleet.now)
    assert issuer_for(fleet, "door-0") == old_issuer()
    event = AuditEvent.objects.get(kind="device.follows_profile")
    assert (event.device, event.detail["instead_of"]) == (device, target.name)
    before = everything()
    assert not overrides.clear(device, TESTER, fleet.now)
    assert everything() == before


def test_a_campaign_at_work_leaves_alone_who_was_let_follow_its_profile(fleet, target):
    campaign = started(fleet, Selection(group=group_of("door-0", "door-1")), target)
    overrides.clear(Device.objects.get(name="door-0"), TESTER, fleet.now)
    assert fleet.asked() == {"door-1"}
    fleet.live(3)
    assert states(campaign) == {"door-0": "left", "door-1": "moved"}
    assert Campaign.objects.get(pk=campaign.pk).state == S.FINISHED
    assert not CampaignMember.objects.filter(living=True).exists()


def test_who_is_asked_to_come_to_its_profiles_issuer_stays_so(fleet, target):
    """The page was opened while canaries were watched; then the campaign gave the profile the new issuer."""
    campaign = started(fleet, Selection(from_issuer=old_issuer()), target, canary_percent=50)
    (canary, *_) = fleet.asked()
    campaigns.open_to_all(campaign, TESTER, fleet.now)
    before = everything()
    assert not overrides.clear(Device.objects.get(name=canary), TESTER, fleet.now)
    assert everything() == before
    fleet.live(3)
    assert set(states(campaign).values()) == {"moved"}
    assert Campaign.objects.get(pk=campaign.pk).state == S.FINISHED


# --- Finished from a pause ------------------------------------------------------------------------


def test_a_campaign_that_is_paused_and_finished_within_a_minute_asks_nobody_any_more(fleet, target):
    campaign = started(fleet, Selection(group=group_of("door-0", "door-1")), target)
    campaigns.pause(campaign, TESTER, fleet.now)
    campaigns.finish(campaign, TESTER, fleet.now)
    fleet.step(minutes=1)
    assert not fleet.asked()


def test_the_profiles_that_a_switch_would_touch_are_those_that_are_named(fleet, target, now):
    campaign = started(fleet, Selection(from_issuer=old_issuer()), target)
    assert [profile.name for profile in switching.given(campaign)] == ["device"]
    assert [profile.name for profile in switching.to_give_back(campaign, now)] == ["device"]
    assert Profile.objects.get(name="server").issuer != target
    condemn(Issuer.objects.get(pk=campaign.from_issuer_id), Issuer.State.RETIRED, now + DAY)
    campaign.refresh_from_db()
    assert not switching.to_give_back(campaign, now)


# --- At once --------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("state", ["retired", "compromised"])
def test_an_issuer_is_condemned_while_a_campaign_asks_for_it(fleet, target, monkeypatch, state):
    monkeypatch.setattr(asking, "CHUNK", 1)
    berlin = Selection(group=group_of("door-0", "door-1", "door-2"))
    campaign = started(fleet, berlin, target, window_seconds=600)
    Campaign.objects.update(position=1_000_000)
    third = new_issuer(fleet.now, "Third CA")
    outcomes = at_once(
        lambda: condemn(target, Issuer.State(state), fleet.now),
        lambda: campaigns.step(fleet.now),
        lambda: give("door-0", profile_of(third), fleet.now),
        lambda: overrides.clear(Device.objects.get(name="door-1"), TESTER, fleet.now),
    )
    assert len(outcomes) == 4, "nobody waited for another for ever"
    assert [issuer_for(fleet, "door-0"), issuer_for(fleet, "door-2").pk == target.pk] == [third, False]
    fleet.step(minutes=1)
    assert Campaign.objects.get(pk=campaign.pk).state == S.STOPPED
