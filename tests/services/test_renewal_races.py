"""Renewals at once with each other and with revocations, on a real database."""

import threading
from functools import partial

import pytest
from django.db import connection, transaction

from pki.models import AuditEvent, Certificate, Device, Renewal, Revocation
from pki.services.proving import status
from pki.services.renewing import renewal, superseding
from pki.services.revoking import revocation
from tests.services.cast import ADDRESS, DAY, TESTER, at_once, change_state, device_certificates, serials
from tests.services.renewing_cast import Fielded, is_revoked, set_profile, shows

CROWD = 8
ROUNDS = 5  # a race is not lost every time

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("ca")]


@pytest.fixture
def door(ca, now):
    return Fielded.enrolled("door-1", now)


def renewals(door, pems, now, shown=None):
    """The work of as many renewals, of which each device's proof was taken already."""
    identity = status.renewable((shown or door.certificate).fingerprint, now)
    return [partial(renewal.renew, identity, pem, ADDRESS, now) for pem in pems]


def test_one_request_that_comes_many_times_at_once_gets_one_certificate(door, now):
    outcomes = at_once(*renewals(door, [door.next.csr] * CROWD, now))
    assert len({outcome.pem for outcome in outcomes}) == 1
    assert Renewal.objects.count() == 1
    assert len(device_certificates()) == 2
    assert AuditEvent.objects.filter(kind="certificate.issued", device__name="door-1").count() == 2


def test_the_same_key_at_once_gets_one_certificate_too(door, now):
    set_profile(renew_same_key=True)
    outcomes = at_once(*renewals(door, [door.csr] * CROWD, now))
    assert len({outcome.pem for outcome in outcomes}) == 1
    assert len(device_certificates()) == 2


def test_many_keys_at_once_do_not_pass_the_bound(door, now):
    for _ in range(renewal.MOST - 3):
        door.renew(door.next.csr, now)
    outcomes = at_once(*renewals(door, [door.next.csr for _ in range(CROWD)], now))
    assert len(serials(outcomes)) == 3
    assert Renewal.objects.count() == renewal.MOST
    refused = [type(outcome) for outcome in outcomes if isinstance(outcome, Exception)]
    assert refused == [renewal.TooManyRenewals] * (CROWD - 3)


def standing(device):
    return Certificate.objects.filter(device=device, revocation=None)


def test_whoever_is_revoked_while_it_renews_keeps_nothing(now):
    """Either the renewal was first, and what it gave is revoked as well, or it is refused."""
    for number in range(ROUNDS):
        door = Fielded.enrolled(f"door-{number}", now)
        living = revocation.living(door.device, now)
        reason = Revocation.Reason.KEY_COMPROMISE
        at_once(
            partial(revocation.revoke_all, living, reason, TESTER, now),
            *renewals(door, [door.next.csr for _ in range(3)], now),
        )
        assert not standing(door.device).exists()


def test_a_revocation_waits_for_a_renewal_that_has_looked_already(door, now, monkeypatch):
    """In the moment between the last look at what was shown, and the storing of what replaces it."""
    looked, revoked = threading.Event(), threading.Event()

    def pauses(*_):
        looked.set()
        revoked.wait(timeout=1)  # in vain: it waits for us

    def revoke():
        looked.wait(timeout=10)
        reason = Revocation.Reason.KEY_COMPROMISE
        revocation.revoke_all(revocation.living(door.device, now), reason, TESTER, now)
        revoked.set()

    monkeypatch.setattr(renewal, "_require_pause", pauses)
    (issued, _) = at_once(*renewals(door, [door.next.csr], now), revoke)
    assert isinstance(issued, renewal.Issued)
    assert is_revoked(issued.certificate) == is_revoked(door.certificate) == "keyCompromise"


def test_whoever_is_suspended_while_it_renews_gets_an_answer_and_no_error(now):
    for number in range(ROUNDS):
        door = Fielded.enrolled(f"door-{number}", now)
        _, *outcomes = at_once(
            partial(change_state, door.device, Device.State.SUSPENDED, now),
            *renewals(door, [door.next.csr for _ in range(3)], now),
        )
        refused = {type(each) for each in outcomes if isinstance(each, Exception)}
        assert refused <= {status.SuspendedDevice}
        assert Renewal.objects.filter(device=door.device).count() == len(serials(outcomes))


def test_several_nodes_supersede_each_certificate_once(now, monkeypatch):
    monkeypatch.setattr(superseding, "BATCH", 2)
    set_profile(supersede_after_minutes=0)
    fleet = [Fielded.enrolled(f"door-{number}", now) for number in range(7)]
    for each in fleet:
        shows(each.renew(each.next.csr, now).certificate, now)
    counts = at_once(*[partial(superseding.supersede_due, now + DAY)] * 4)
    # Who waited for a node that did its batch may find nothing left; the next pass has the rest, if any.
    counts.append(superseding.supersede_due(now + DAY))
    assert sum(counts) == 7
    assert {is_revoked(each.certificate) for each in fleet} == {"superseded"}
    assert AuditEvent.objects.filter(kind="certificate.revoked").count() == 7


def test_a_device_that_renews_while_it_is_superseded_is_left_with_one_that_stands(now):
    """It shows the old one in the moment in which that is superseded."""
    set_profile(supersede_after_minutes=0)
    for number in range(ROUNDS):
        door = Fielded.enrolled(f"door-{number}", now)
        new = door.renew(door.next.csr, now).certificate
        shows(new, now)
        _, outcome = at_once(partial(superseding.supersede_due, now), *renewals(door, [door.next.csr], now))
        assert isinstance(outcome, status.RevokedCertificate | renewal.Issued)
        assert is_revoked(door.certificate) == "superseded"
        assert standing(door.device).filter(pk=new.pk).exists()


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite: has one writer at a time")
def test_superseding_passes_over_what_somebody_else_is_at(door, now):
    set_profile(supersede_after_minutes=60)
    doors = [door, Fielded.enrolled("door-2", now)]
    for each in doors:
        shows(each.renew(each.next.csr, now).certificate, now)

    def supersede():
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '5s'")  # who waits fails, and does not hang
        return superseding.supersede_due(now + DAY)

    with transaction.atomic():
        Renewal.objects.select_for_update().get(device=door.device)
        assert at_once(supersede) == [1]
        assert [bool(is_revoked(each.certificate)) for each in doors] == [False, True]
    assert superseding.supersede_due(now + DAY) == 1
    assert is_revoked(door.certificate)
