"""Devices that change while a campaign leads them; campaigns for new keys."""

from datetime import timedelta

import pytest

from pki.models import AuditEvent, Device, Revocation
from pki.services.revoking import revocation
from pki.services.rotating import campaigns
from pki.services.rotating.selection import Selection
from tests.services.campaigns.cast import (
    Member,
    State,
    of_old,
    started,
    state_of,
    states,
)
from tests.services.cast import DAY, TESTER, change_state, everything

pytestmark = pytest.mark.usefixtures("ca")


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
