"""What a revocation would stop is said as it is."""

import pytest

from pki.models import Certificate, LastSeen, Revocation
from pki.services.revoking import impact, revocation
from tests.services.cast import DAY, SECOND, TESTER, Gadget, issue, registered, token_for


@pytest.fixture
def doors(ca, now):
    return [registered(f"door-{number}", now) for number in range(7)]


def seen(device, certificate, at):
    LastSeen.objects.create(device=device, certificate=certificate, at=at, tls_version="TLSv1.3")


def test_devices_are_counted_once_and_named_by_when_they_were_seen_last(doors, now):
    certificates = [issue(door, now) for door in doors] + [issue(doors[0], now)]
    for number, door in enumerate(doors):
        seen(door, certificates[number], now - (number + 1) * DAY)
    known = impact.of_revoking(certificates, now)
    assert (known.certificates, known.devices) == (8, 7)
    assert known.seen == tuple((f"door-{number}", now - (number + 1) * DAY) for number in range(5))


def test_a_device_that_keeps_another_certificate_is_said_to(doors, now):
    door, gate, lamp = doors[:3]
    chosen = [issue(door, now), issue(gate, now), issue(lamp, now)]
    issue(door, now)
    revocation.revoke([issue(gate, now)], Revocation.Reason.SUPERSEDED, TESTER, now)
    issue(lamp, now - 60 * DAY)
    known = impact.of_revoking(chosen, now)
    assert (known.keep_another_key, known.keep_the_same_key) == (1, 0)


def test_one_that_keeps_a_certificate_for_the_same_key_is_said_to(doors, now):
    gadget = Gadget("door-0")
    first = gadget.enroll(token_for(doors[0], now), now).certificate
    gadget.enroll(token_for(doors[0], now), now)
    known = impact.of_revoking([first], now)
    assert (known.keep_another_key, known.keep_the_same_key) == (0, 1)


def test_what_changes_nothing_is_counted_apart(doors, now):
    held, revoked, expired = issue(doors[0], now), issue(doors[1], now), issue(doors[2], now - 60 * DAY)
    revocation.revoke([held], revocation.HOLD, TESTER, now)
    revocation.revoke([revoked], Revocation.Reason.SUPERSEDED, TESTER, now)
    known = impact.of_revoking([held, revoked, expired], now)
    assert (known.certificates, known.revoked, known.held, known.expired) == (2, 1, 1, 1)
    assert known.devices == 2


def test_the_portals_own_are_named(ca, now):
    own = list(Certificate.objects.exclude(listener=""))
    known = impact.of_revoking(own, now + SECOND)
    assert known.listeners == ("hello", "secure")
    assert known.devices == 0


def test_it_takes_as_many_queries_for_many_as_for_one(doors, now, django_assert_num_queries):
    certificates = [issue(door, now) for door in doors]
    for number in (1, 7):
        with django_assert_num_queries(3):
            impact.of_revoking(certificates[:number], now)
