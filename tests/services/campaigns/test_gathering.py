"""Whom a campaign leads: everybody for whom its conditions hold, also who moved before and who cannot renew;
and which of them are its canaries."""

from datetime import timedelta

import pytest

from pki.models import Campaign, CampaignMember, Device, Issuer, Profile, Revocation
from pki.services.fleet import devices
from pki.services.issuing import authorities
from pki.services.revoking import revocation
from pki.services.rotating import campaigns, drafting, gathering, pace, progress, selection
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
    old_issuer,
    started,
    state_of,
    states,
)
from tests.services.cast import TESTER, everything

pytestmark = pytest.mark.usefixtures("ca")


def signed_by(fleet, issuer, *names):
    """Devices get a certificate of another issuer, as if a campaign had decided so, and show it."""
    Device.objects.filter(name__in=names).update(issuer=issuer)
    fleet.move(*names)


def revoke(fleet, name, reason=Revocation.Reason.UNSPECIFIED):
    revocation.revoke([fleet.shown[name]], reason, TESTER, fleet.now)


# --- Who has moved before -------------------------------------------------------------------------


def test_who_has_moved_before_counts_as_moved_and_stays_so(fleet, target):
    signed_by(fleet, target, "door-1")
    Device.objects.update(issuer=None)
    seen = fleet.now
    fleet.pass_time(hours=1)
    campaign = started(fleet, of_old(), target)
    assert in_state(campaign, Member.MOVED) == {"door-1"}
    assert in_state(campaign, Member.ASKED) == set(fleet.shown) - {"door-1"}
    member = CampaignMember.objects.get(device__name="door-1")
    assert (member.moved_at, member.certificate) == (seen, fleet.shown["door-1"])
    assert issuers_of(["door-1"]) == {"door-1": "Next CA"}, "its next renewal does not take it back"
    fleet.live(3)
    assert state_of(campaign) == State.FINISHED


def test_a_campaign_whose_devices_have_all_moved_before_gives_the_profiles_the_new_issuer(fleet, target):
    signed_by(fleet, target, *fleet.shown)
    campaign = started(fleet, of_old(), target, canary_percent=5, canary_seconds=3600)
    fleet.live(3)
    assert (state_of(campaign), devices.default_profile().issuer) == (State.FINISHED, target)
    assert set(states(campaign).values()) == {Member.MOVED}
    fleet.enroll("late")
    assert fleet.shown["late"].issuer == target


def test_who_came_back_after_it_had_moved_is_led_again(fleet, target):
    signed_by(fleet, target, "door-1")
    fleet.pass_time(hours=1)
    Device.objects.update(issuer=None)
    fleet.renew("door-1")
    campaign = started(fleet, of_old(), target)
    assert states(campaign)["door-1"] == Member.ASKED, "though what it showed last was of the new issuer"
    fleet.live(3)
    assert set(states(campaign).values()) == {Member.MOVED}
    assert {each.issuer for each in fleet.shown.values()} == {target}


def test_who_showed_a_certificate_of_the_target_that_was_revoked_is_led(fleet, target):
    before = fleet.shown["door-1"]
    signed_by(fleet, target, "door-1")
    revoke(fleet, "door-1")
    fleet.shown["door-1"] = before
    fleet.pass_time(hours=1)
    campaign = started(fleet, of_old(), target)
    assert states(campaign)["door-1"] == Member.ASKED
    fleet.step(minutes=1)
    assert states(campaign)["door-1"] == Member.ASKED, "nor does a later step take it for moved"


def test_who_has_certificates_of_the_target_alone_has_moved(fleet, target):
    enroll_under(target, fleet, "new")
    campaign = started(fleet, Selection(group=group_of("new", "door-0")), target)
    assert states(campaign) == {"new": Member.MOVED, "door-0": Member.ASKED}


def test_who_was_given_a_certificate_of_the_target_and_has_not_shown_it_is_led(fleet, target):
    Device.objects.filter(name="door-0").update(issuer=target)
    fleet.renew("door-0")
    campaign = started(fleet, Selection(group=group_of("door-0")), target)
    assert states(campaign) == {"door-0": Member.ASKED}
    fleet.pass_time(seconds=1)
    fleet.show("door-0")
    assert states(campaign) == {"door-0": Member.MOVED}


def test_rolling_back_leaves_who_had_moved_before(fleet, target):
    signed_by(fleet, target, "door-1")
    campaign = started(fleet, of_old(), target)
    fleet.obey()
    campaigns.roll_back(campaign, TESTER, fleet.now)
    fleet.live(3)
    fleet.show()
    fleet.live(1)
    assert state_of(campaign) == State.ROLLED_BACK
    assert states(campaign)["door-1"] == Member.LEFT
    assert fleet.shown["door-1"].issuer == target
    assert issuers_of(["door-1"]) == {"door-1": "Next CA"}
    others = set(fleet.shown) - {"door-1"}
    assert {fleet.shown[name].issuer for name in others} == {old_issuer()}


# --- Who cannot renew -----------------------------------------------------------------------------


def compromise(fleet, *names):
    """Devices get certificates of a CA that is compromised then."""
    lost = new_issuer(fleet.now, "Lost CA")
    enroll_under(lost, fleet, *names)
    condemn(lost, Issuer.State.COMPROMISED, fleet.now)


def enroll_under(issuer, fleet, *names):
    before = old_issuer()
    Profile.objects.filter(name="device").update(issuer=issuer)
    for name in names:
        fleet.enroll(name)
    Profile.objects.filter(name="device").update(issuer=before)


def test_who_has_certificates_of_a_compromised_issuer_alone_is_said_to_enroll_again(fleet, target):
    compromise(fleet, "lost-0", "lost-1")
    campaign = started(fleet, Selection(group=group_of("lost-0", "lost-1", "door-0")), target)
    assert states(campaign) == {
        "lost-0": Member.UNABLE,
        "lost-1": Member.UNABLE,
        "door-0": Member.ASKED,
    }
    fleet.obey()
    fleet.step(minutes=1)
    campaign.refresh_from_db()
    assert campaign.state == State.FINISHED
    assert campaign.reason == "2 devices cannot renew, and must enroll again."
    far = progress.of(campaign, fleet.now)
    assert (far.moved, far.unable, far.percent) == (1, 2, 33)


def test_an_issuer_that_is_compromised_on_the_way_is_waited_for_by_nobody(fleet, target):
    campaign = started(fleet, of_old(), target)
    fleet.move("door-0")
    condemn(campaign.from_issuer, Issuer.State.COMPROMISED, fleet.now)
    fleet.step(minutes=1)
    assert in_state(campaign, Member.UNABLE) == set(fleet.shown) - {"door-0"}
    campaign.refresh_from_db()
    assert (campaign.state, campaign.reason) == (
        State.FINISHED,
        "5 devices cannot renew, and must enroll again.",
    )


def test_a_compromised_root_above_counts_as_well(fleet, target):
    """What is below it is refused, whatever is said of the CA itself."""
    root = authorities.make_root("Lost Root", "P-256", TESTER, fleet.now)
    enroll_under(authorities.make_subordinate("Below", root, "P-256", TESTER, fleet.now), fleet, "lost-0")
    condemn(root, Issuer.State.COMPROMISED, fleet.now)
    campaign = started(fleet, Selection(group=group_of("lost-0", "door-0")), target)
    assert states(campaign) == {"lost-0": Member.UNABLE, "door-0": Member.ASKED}


def test_who_enrolls_again_is_asked_with_the_others(fleet, target):
    compromise(fleet, "lost-0")
    group = group_of("lost-0", "door-0")
    campaign = started(fleet, Selection(group=group), target)
    assert states(campaign)["lost-0"] == Member.UNABLE
    fleet.renew("lost-0")  # a new enrollment, by its profile's issuer
    assert fleet.shown["lost-0"].issuer == old_issuer()
    fleet.step(minutes=1)
    assert states(campaign)["lost-0"] == Member.WAITING
    fleet.live(3)
    assert set(states(campaign).values()) == {Member.MOVED}
    assert state_of(campaign) == State.FINISHED


def test_who_cannot_renew_and_enrolls_with_the_new_issuer_has_moved(fleet, target):
    compromise(fleet, "lost-0")
    campaign = started(fleet, Selection(group=group_of("lost-0", "door-0")), target)
    Device.objects.filter(name="lost-0").update(issuer=target)
    fleet.move("lost-0")
    assert states(campaign)["lost-0"] == Member.MOVED


def test_revoked_and_ended_certificates_are_counted_as_unable_and_a_grace_is_heeded(fleet, target):
    revoke(fleet, "door-0")
    fleet.now = max(each.not_after for each in fleet.shown.values()) + timedelta(hours=2)
    fleet.enroll("new")
    group = group_of("door-0", "door-1", "new")
    look = selection.preview(Selection(group=group), fleet.now)
    assert (look.count, look.unable) == (1, 2)
    Profile.objects.filter(name="device").update(grace_hours=3)
    look = selection.preview(Selection(group=group), fleet.now)
    assert (look.count, look.unable) == (2, 1)
    campaign = started(fleet, Selection(group=group), target)
    assert states(campaign) == {"door-0": Member.UNABLE, "door-1": Member.ASKED, "new": Member.ASKED}
    fleet.step(hours=1, minutes=1)
    fleet.step(minutes=1)
    assert states(campaign)["door-1"] == Member.UNABLE, "its grace is over"


def test_a_certificate_on_hold_is_led_for_it_may_come_back(fleet, target):
    revoke(fleet, "door-0", Revocation.Reason.CERTIFICATE_HOLD)
    campaign = started(fleet, of_old(), target)
    assert states(campaign)["door-0"] == Member.ASKED


def test_a_draft_for_devices_that_cannot_renew_is_refused_and_says_why(fleet, target):
    compromise(fleet, "lost-0")
    group = group_of("lost-0")
    before = everything()
    with pytest.raises(drafting.NothingSelected, match="enroll again") as refused:
        drafted(fleet, Selection(group=group), target)
    assert "compromised" in refused.value.detail
    assert everything() == before


def test_canaries_are_not_waited_for_when_nobody_is_left_that_can_move(fleet, target):
    campaign = drafted(fleet, of_old(), target, canary_percent=5, canary_seconds=3600)
    condemn(campaign.from_issuer, Issuer.State.COMPROMISED, fleet.now)
    campaigns.start(campaign, TESTER, fleet.now)
    fleet.step(minutes=1)
    campaign.refresh_from_db()
    assert campaign.state == State.FINISHED
    assert campaign.reason.startswith("No device was found that it could move. 6 devices cannot renew")


def test_a_look_at_many_counts_the_unable_among_those_that_it_counted(fleet, monkeypatch):
    for name in ("door-0", "door-5"):
        revoke(fleet, name)
    monkeypatch.setattr(selection, "MOST_COUNTED", 2)
    look = selection.preview(of_old(), fleet.now)
    assert (look.count, look.is_more, look.unable) == (2, True, 1)


def test_new_keys_are_asked_of_whom_can_renew(fleet):
    revoke(fleet, "door-0")
    campaign = started(fleet, of_old())
    assert states(campaign)["door-0"] == Member.UNABLE
    fleet.pass_time(seconds=1)
    fleet.obey()
    fleet.step(minutes=1)
    assert state_of(campaign) == State.FINISHED


# --- Canaries -------------------------------------------------------------------------------------


def canaries_of(campaign):
    found = CampaignMember.objects.filter(campaign=campaign, canary=True)
    return set(found.values_list("device__name", flat=True))


@pytest.mark.parametrize(
    ("number", "percent", "canaries"),
    [(1, 1, 1), (1, 50, 1), (2, 50, 1), (5, 50, 3), (12, 1, 1), (12, 10, 1), (15, 10, 2), (12, 50, 6)],
)
def test_the_canaries_are_exactly_the_rounded_share_whatever_the_campaigns_name(
    now, number, percent, canaries
):
    fleet = Fleet.of(number, now)
    target = new_issuer(now)
    for name in ("spring", "autumn", "winter"):
        campaign = started(fleet, of_old(), target, name=name, canary_percent=percent, canary_seconds=86_400)
        assert len(fleet.asked()) == canaries
        assert fleet.asked() == canaries_of(campaign)
        campaigns.cancel(campaign, TESTER, fleet.now)
        fleet.step(seconds=1)


def test_the_canaries_are_those_with_the_lowest_places(fleet, target):
    campaign = started(fleet, of_old(), target, canary_percent=50, canary_seconds=86_400)
    by_place = sorted(fleet.shown, key=lambda name: pace.place(campaign, name))
    assert canaries_of(campaign) == set(by_place[:3])


def test_nobody_is_asked_before_all_are_gathered(fleet, target, monkeypatch):
    monkeypatch.setattr(gathering, "STRETCH", 1)
    campaign = drafted(fleet, of_old(), target, canary_percent=50, canary_seconds=86_400)
    campaigns.start(campaign, TESTER, fleet.now)
    while Campaign.objects.get().gathered_up_to is not None:
        assert fleet.asked() == set()
        campaigns.step(fleet.now, patience=0)
    campaigns.step(fleet.now)
    assert len(fleet.asked()) == 3


def test_who_moved_before_or_cannot_renew_is_no_canary(now):
    fleet = Fleet.of(8, now)
    target = new_issuer(now)
    signed_by(fleet, target, "door-0", "door-1", "door-2")
    revoke(fleet, "door-3")
    campaign = started(fleet, of_old(), target, canary_percent=50, canary_seconds=86_400)
    assert len(canaries_of(campaign)) == 2
    assert canaries_of(campaign) <= {"door-4", "door-5", "door-6", "door-7"}
    fleet.live(3, obey=False)
    assert state_of(campaign) == State.CANARY


def test_who_comes_later_is_no_canary(fleet, target):
    campaign = started(fleet, of_old(), target, canary_percent=50, canary_seconds=120)
    before = canaries_of(campaign)
    for number in range(6):
        fleet.enroll(f"late-{number}")
    fleet.live(6)
    assert state_of(campaign) == State.FINISHED
    assert len(states(campaign)) == 12
    assert canaries_of(campaign) == before


def test_canaries_that_were_paused_are_the_same_ones_again(fleet, target):
    campaign = started(fleet, of_old(), target, canary_percent=50, canary_seconds=600)
    before = fleet.asked()
    campaigns.pause(campaign, TESTER, fleet.now)
    fleet.step(minutes=1)
    fleet.pass_time(days=1)
    campaigns.go_on(campaign, TESTER, fleet.now)
    fleet.step(minutes=1)
    assert fleet.asked() == before == canaries_of(campaign)


def test_the_only_device_may_have_the_last_place(fleet, target, monkeypatch):
    monkeypatch.setattr(pace, "place", lambda *_: pace.END - 1)
    group = group_of("door-0")
    campaign = started(fleet, Selection(group=group), target, canary_percent=5, canary_seconds=60)
    assert fleet.asked() == {"door-0"}
    campaigns.open_to_all(campaign, TESTER, fleet.now)
    campaigns.pause(campaign, TESTER, fleet.now)
    fleet.step(minutes=1)
    campaigns.go_on(campaign, TESTER, fleet.now)
    fleet.live(3)
    assert state_of(campaign) == State.FINISHED
