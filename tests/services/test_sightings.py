"""When devices were last seen, and the rotation that a sighting ends."""

import pytest

from pki.models import AuditEvent, LastSeen, Revocation
from pki.services.fleet import rotation
from pki.services.fleet.sightings import Sighting, SightingLog
from tests.services.cast import DAY, SECOND, TESTER, change_state, issue, registered


def seen(log, certificate, at, address="192.0.2.7"):
    log.note(Sighting(certificate.device_id, certificate.pk, at, address, "TLSv1.3"))
    log.flush()


def test_the_last_sighting_of_each_device_is_kept(ca, now):
    door, gate = registered("door-1", now), registered("gate-1", now)
    first, second, other = issue(door, now), issue(door, now), issue(gate, now)
    log = SightingLog()
    seen(log, first, now, "192.0.2.1")
    log.note(Sighting(door.pk, first.pk, now + SECOND, "192.0.2.2", "TLSv1.2"))
    log.note(Sighting(door.pk, second.pk, now + 2 * SECOND, "192.0.2.3", "TLSv1.3"))
    log.note(Sighting(gate.pk, other.pk, now + SECOND, None, "TLSv1.3"))
    log.flush()
    assert log.is_idle
    assert set(
        LastSeen.objects.values_list("device__name", "at", "address", "tls_version", "certificate")
    ) == {
        ("door-1", now + 2 * SECOND, "192.0.2.3", "TLSv1.3", second.pk),
        ("gate-1", now + SECOND, None, "TLSv1.3", other.pk),
    }


def test_what_a_worker_writes_late_does_not_take_back_what_another_one_wrote(ca, now):
    door = registered("door-1", now)
    old, new = issue(door, now), issue(door, now)
    seen(SightingLog(), new, now + 2 * SECOND)
    seen(SightingLog(), old, now + SECOND)
    last = LastSeen.objects.get()
    assert (last.at, last.certificate) == (now + 2 * SECOND, new)


def test_the_latest_bundle_that_a_device_fetched_is_kept_through_other_sightings(ca, now):
    door = registered("door-1", now)
    old, new = issue(door, now), issue(door, now)
    log = SightingLog()
    fetched = lambda certificate, at, version: Sighting(door.pk, certificate.pk, at, None, "TLSv1.3", version)  # noqa: E731
    log.note(fetched(old, now, 7))
    log.note(fetched(old, now + SECOND, None))
    log.note(fetched(new, now + 2 * SECOND, None))
    log.flush()
    assert LastSeen.objects.values_list("at", "certificate", "bundle_version").get() == (
        now + 2 * SECOND,
        new.pk,
        7,
    )
    seen(log, new, now + 3 * SECOND)
    assert LastSeen.objects.get().bundle_version == 7
    log.note(fetched(new, now + 4 * SECOND, 9))
    log.note(fetched(old, now + 5 * SECOND, 8))
    log.flush()
    assert LastSeen.objects.get().bundle_version == 9, "it goes back no more than the device does"


def test_a_worker_that_writes_late_still_says_which_bundle_was_fetched(ca, now):
    door = registered("door-1", now)
    certificate = issue(door, now)
    seen(SightingLog(), certificate, now + 2 * SECOND, "192.0.2.1")
    log = SightingLog()
    log.note(Sighting(door.pk, certificate.pk, now + SECOND, "192.0.2.2", "TLSv1.3", 7))
    log.flush()
    last = LastSeen.objects.get()
    assert (last.at, last.address, last.bundle_version) == (now + 2 * SECOND, "192.0.2.1", 7)


def test_a_flush_without_sightings_asks_the_database_nothing(ca, django_assert_num_queries):
    with django_assert_num_queries(0):
        SightingLog().flush()


def test_a_rotation_ends_when_the_new_certificate_is_seen_and_not_before(ca, now):
    door = registered("door-1", now)
    old = issue(door, now)
    log = SightingLog()
    rotation.request(door, TESTER, now + SECOND)
    seen(log, old, now + 2 * SECOND)
    new = issue(door, now + 3 * SECOND)
    seen(log, old, now + 4 * SECOND)
    assert not Revocation.objects.exists(), "the old one is good until the new one was seen"

    seen(log, new, now + 5 * SECOND)
    revoked = Revocation.objects.get()
    assert (revoked.certificate, revoked.reason) == (old, Revocation.Reason.SUPERSEDED)
    door.refresh_from_db()
    assert door.rotation_requested_at is None
    completed = AuditEvent.objects.get(kind="rotation.completed")
    assert (completed.certificate, completed.detail) == (new, {"superseded": 1})

    seen(log, new, now + 6 * SECOND)
    assert AuditEvent.objects.filter(kind="rotation.completed").count() == 1


@pytest.mark.parametrize("state", ["suspended", "retired"])
def test_only_an_active_device_is_rotated(ca, now, state):
    door = registered("door-1", now)
    issue(door, now)
    change_state(door, state, now)
    door.refresh_from_db()
    with pytest.raises(rotation.issuance.DeviceInactive):
        rotation.request(door, TESTER, now)


def test_a_device_without_a_certificate_is_enrolled_not_rotated(ca, now):
    door = registered("door-1", now)
    issue(door, now - 60 * DAY)
    with pytest.raises(rotation.NothingToRotate):
        rotation.request(door, TESTER, now)
    door.refresh_from_db()
    assert door.rotation_requested_at is None
