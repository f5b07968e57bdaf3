"""What was renewed is revoked some time after the new certificate was first used, and never too early."""

from datetime import timedelta

import pytest

from pki.models import AuditEvent, Device, Issuer, LastSeen, Renewal, Revocation, StaleList
from pki.services.fleet import rotation
from pki.services.fleet.sightings import Sighting, SightingLog
from pki.services.issuing import authorities
from pki.services.proving import status
from pki.services.renewing import first_use, superseding
from pki.services.revoking import revocation
from tests.services.cast import DAY, SECOND, TESTER, change_state
from tests.services.renewing_cast import Fielded, is_revoked, renewal_of, set_profile, shows

pytestmark = pytest.mark.usefixtures("ca")

MINUTE = timedelta(minutes=1)


@pytest.fixture
def door(ca, now):
    set_profile(supersede_after_minutes=60)
    return Fielded.enrolled("door-1", now)


@pytest.fixture
def new(door, now):
    return door.renew(door.next.csr, now).certificate


def revoke(certificate, now, reason=Revocation.Reason.KEY_COMPROMISE):
    revocation.revoke([certificate], reason, TESTER, now)


def test_the_old_certificate_is_superseded_so_long_after_the_new_one_was_first_used(door, new, now):
    shows(new, now + MINUTE)
    due = now + 61 * MINUTE
    assert superseding.supersede_due(due - SECOND) == 0
    assert status.standing(door.certificate.fingerprint, due - SECOND).device == "door-1"
    assert superseding.supersede_due(due) == 1
    with pytest.raises(status.RevokedCertificate, match="superseded"):
        status.standing(door.certificate.fingerprint, due)
    assert status.standing(new.fingerprint, due).device == "door-1"
    event = AuditEvent.objects.get(kind="certificate.revoked")
    assert (event.actor, event.certificate, event.at) == ("hatchery", door.certificate, due)
    assert StaleList.objects.exists(), "the lists are made anew"


def test_the_first_use_counts_and_not_the_last(door, new, now):
    for minutes in (1, 30, 59):
        shows(new, now + minutes * MINUTE)
    assert renewal_of(new).used_at == now + MINUTE
    assert superseding.supersede_due(now + 61 * MINUTE) == 1


def test_showing_the_old_one_uses_nothing(door, new, now):
    shows(door.certificate, now + MINUTE)
    assert renewal_of(new).used_at is None
    assert superseding.supersede_due(now + 20 * DAY) == 0
    assert is_revoked(door.certificate) == ""


def test_a_device_that_shows_both_in_turn_is_seen_with_both(door, new, now):
    """Between two writes, and the old one last."""
    log = SightingLog()
    for at, certificate in enumerate([door.certificate, new, door.certificate]):
        log.note(Sighting(certificate.device_id, certificate.pk, now + at * SECOND, None, "TLSv1.3"))
    log.flush()
    assert renewal_of(new).used_at == now + SECOND
    assert LastSeen.objects.get().certificate == door.certificate


def test_a_rotated_devices_old_key_is_good_for_an_hour_more_and_no_longer(door, now):
    set_profile(supersede_after_minutes=None)
    rotation.request(door.device, TESTER, now + SECOND)
    new = door.renew(door.next.csr, now + MINUTE).certificate
    shows(new, now + 2 * MINUTE)
    assert door.device.rotation_requested_at is None
    last = now + 61 * MINUTE
    assert superseding.supersede_due(last) == 0
    assert status.standing(door.certificate.fingerprint, last).device == "door-1"
    assert superseding.supersede_due(last + MINUTE) == 1
    assert is_revoked(door.certificate) == Revocation.Reason.SUPERSEDED


def test_a_rotated_device_goes_by_its_profile_if_that_says_when(door, now):
    set_profile(supersede_after_minutes=0)
    rotation.request(door.device, TESTER, now + SECOND)
    new = door.renew(door.next.csr, now + MINUTE).certificate
    shows(new, now + 2 * MINUTE)
    assert superseding.supersede_due(now + 2 * MINUTE) == 1
    assert is_revoked(door.certificate) == Revocation.Reason.SUPERSEDED


def test_without_a_word_of_the_profile_the_old_certificate_lives_to_its_end(door, new, now):
    set_profile(supersede_after_minutes=None)
    shows(new, now + MINUTE)
    assert renewal_of(new).used_at == now + MINUTE
    assert superseding.supersede_due(now + 29 * DAY) == 0
    assert is_revoked(door.certificate) == ""


def test_a_profile_may_supersede_at_once(door, new, now):
    set_profile(supersede_after_minutes=0)
    shows(new, now + MINUTE)
    assert superseding.supersede_due(now + MINUTE) == 1


def test_answers_that_were_lost_are_superseded_with_the_one_that_they_renewed(door, new, now):
    other = door.renew(door.next.csr, now + MINUTE).certificate
    shows(other, now + 2 * MINUTE)
    assert superseding.supersede_due(now + 61 * MINUTE) == 0
    assert superseding.supersede_due(now + 62 * MINUTE) == 2
    assert [is_revoked(each) for each in (door.certificate, new, other)] == ["superseded", "superseded", ""]


def test_one_that_was_given_after_the_one_in_use_may_be_on_its_way(door, new, now):
    later = door.renew(door.next.csr, now + MINUTE).certificate
    shows(new, now + 2 * MINUTE)
    assert superseding.supersede_due(now + DAY) == 1
    assert [is_revoked(each) for each in (door.certificate, new, later)] == ["superseded", "", ""]


def test_one_that_is_used_before_the_time_has_come_was_not_lost(door, new, now):
    other = door.renew(door.next.csr, now + MINUTE).certificate
    shows(other, now + 2 * MINUTE)
    shows(new, now + 3 * MINUTE)
    assert superseding.supersede_due(now + DAY) == 1
    assert [is_revoked(each) for each in (door.certificate, new, other)] == ["superseded", "", ""]


def test_answers_that_other_devices_lost_stay_as_they_are(door, now):
    gate = Fielded.enrolled("gate-1", now)
    lost = gate.renew(gate.next.csr, now).certificate
    shows(door.renew(door.next.csr, now + MINUTE).certificate, now + MINUTE)
    assert superseding.supersede_due(now + DAY) == 1
    assert is_revoked(lost) == ""


def test_without_a_word_of_the_profile_lost_answers_live_to_their_end_too(door, new, now):
    set_profile(supersede_after_minutes=None)
    shows(door.renew(door.next.csr, now + MINUTE).certificate, now + MINUTE)
    assert superseding.supersede_due(now + DAY) == 0
    assert is_revoked(new) == ""


def test_two_that_replaced_the_same_supersede_it_once(door, new, now):
    shows(new, now)
    shows(door.renew(door.next.csr, now).certificate, now)
    assert superseding.supersede_due(now + DAY) == 1
    assert not Renewal.objects.exclude(supersede_at=None).exists()


# --- What must not leave a device with nothing ------------------------------------------------------------


def compromise_next_issuer(new, now):
    Issuer.objects.filter(pk=new.issuer_id).update(state=Issuer.State.COMPROMISED)


SITUATIONS = {
    "the new one is revoked": lambda new, now: revoke(new, now),
    "the new one is on hold": lambda new, now: revoke(new, now, revocation.HOLD),
    "the device is suspended": lambda new, now: change_state(new.device, Device.State.SUSPENDED, now),
    "the new one's issuer is compromised": compromise_next_issuer,
}


@pytest.mark.parametrize("happens", SITUATIONS.values(), ids=SITUATIONS)
def test_the_old_certificate_is_kept_while_the_new_one_is_good_for_nothing(door, now, happens):
    root = authorities.root_of(door.device.profile.issuer)
    Device.objects.update(issuer=authorities.make_subordinate("Next CA", root, "P-256", TESTER, now))
    new = door.renew(door.next.csr, now).certificate
    shows(new, now)
    happens(new, now + MINUTE)
    assert superseding.supersede_due(now + DAY) == 0
    assert is_revoked(door.certificate) == ""


def test_the_old_certificate_is_kept_once_the_new_one_has_ended_before_it(door, now):
    set_profile(lifetime_seconds=3600)
    new = door.renew(door.next.csr, now).certificate
    shows(new, now)
    assert superseding.supersede_due(now + DAY) == 0
    assert status.standing(door.certificate.fingerprint, now + DAY).device == "door-1"


def test_after_a_hold_the_first_use_comes_anew(door, new, now):
    shows(new, now)
    revoke(new, now + MINUTE, revocation.HOLD)
    superseding.supersede_due(now + DAY)
    revocation.lift([new], TESTER, now + DAY)
    shows(new, now + DAY)
    assert superseding.supersede_due(now + DAY) == 0
    assert superseding.supersede_due(now + DAY + 60 * MINUTE) == 1


# --- What there is nothing left to do about -----------------------------------------------------------------


def test_what_was_revoked_meanwhile_keeps_its_reason(door, new, now):
    shows(new, now)
    revoke(door.certificate, now)
    assert superseding.supersede_due(now + DAY) == 0
    assert is_revoked(door.certificate) == "keyCompromise"
    assert not Renewal.objects.exclude(supersede_at=None).exists()


def test_what_has_ended_meanwhile_is_not_revoked(door, new, now):
    later = door.certificate.not_after + SECOND
    new = door.renew(door.next.csr, door.certificate.not_after).certificate
    shows(new, door.certificate.not_after)
    assert superseding.supersede_due(later + DAY) == 0
    assert is_revoked(door.certificate) == ""
    assert not Renewal.objects.exclude(supersede_at=None).exists()


def test_one_on_hold_is_superseded_for_good(door, new, now):
    shows(new, now)
    revoke(door.certificate, now, revocation.HOLD)
    assert superseding.supersede_due(now + DAY) == 1
    assert is_revoked(door.certificate) == "superseded"


# --- Many ---------------------------------------------------------------------------------------------------


@pytest.fixture
def fleet(ca, now, monkeypatch):
    monkeypatch.setattr(superseding, "BATCH", 2)
    set_profile(supersede_after_minutes=60)
    made = [Fielded.enrolled(f"door-{number}", now) for number in range(5)]
    for each in made:
        shows(each.renew(each.next.csr, now).certificate, now)
    return made


def test_many_are_done_in_batches(fleet, now):
    assert superseding.supersede_due(now + DAY) == 5
    assert {is_revoked(each.certificate) for each in fleet} == {"superseded"}
    assert superseding.supersede_due(now + DAY) == 0


def test_broken_off_the_rest_is_done_the_next_time(fleet, now, monkeypatch):
    """Killed in its second batch: that batch did not happen, and the first one stays."""
    calls = []
    revoke = revocation.revoke

    def dies(*args):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return revoke(*args)

    monkeypatch.setattr(revocation, "revoke", dies)
    with pytest.raises(KeyboardInterrupt):
        superseding.supersede_due(now + DAY)
    assert Revocation.objects.count() == 2
    assert Renewal.objects.exclude(supersede_at=None).count() == 3
    assert superseding.supersede_due(now + DAY) == 3
    assert {is_revoked(each.certificate) for each in fleet} == {"superseded"}


def test_sightings_without_renewals_cost_one_query(door, now, django_assert_num_queries):
    with django_assert_num_queries(1):
        first_use.note({door.certificate.pk: now})
