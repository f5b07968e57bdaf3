"""A campaign leads a fleet to another issuer."""

import pytest

from pki.models import Campaign, CampaignMember, Device, Issuer, Profile, Revocation
from pki.services.fleet import devices
from pki.services.rotating import campaigns, members
from pki.services.rotating.selection import Selection
from tests.services.campaigns.cast import (
    Fleet,
    Member,
    State,
    condemn,
    drafted,
    group_of,
    in_state,
    issuers_of,
    new_issuer,
    of_old,
    started,
    state_of,
    states,
)
from tests.services.cast import TESTER, Gadget, token_for

pytestmark = pytest.mark.usefixtures("ca")


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
