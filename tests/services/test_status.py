"""Whether a certificate stands: a table of everything that may be wrong with one."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from pki.models import Device, Issuer, Profile, Revocation
from pki.services.fleet import devices
from pki.services.issuing import listener_certificates
from pki.services.proving import status
from pki.services.revoking import revocation
from tests.services.cast import DAY, SECOND, TESTER, change_state, issue, registered

pytestmark = pytest.mark.usefixtures("ca")


@pytest.fixture
def door(ca, now):
    return registered("door-1", now)


@pytest.fixture
def certificate(door, now):
    return issue(door, now)


def test_a_certificate_that_stands_says_whose_it_is(certificate, now):
    assert status.standing(certificate.fingerprint, now) == status.Identity(
        device="door-1",
        device_id=certificate.device_id,
        certificate_id=certificate.pk,
        serial=f"{certificate.parsed.serial_number:x}",
        not_before=certificate.parsed.not_valid_before_utc,
        not_after=certificate.parsed.not_valid_after_utc,
        issuer_id=certificate.issuer_id,
        issuer_fingerprint=certificate.issuer.fingerprint,
        fingerprint=certificate.fingerprint,
        asked=False,
    )


def revoke(certificate, now):
    revocation.revoke([certificate], Revocation.Reason.KEY_COMPROMISE, TESTER, now)


def suspend(certificate, now):
    change_state(certificate.device, Device.State.SUSPENDED, now)


def retire(certificate, now):
    change_state(certificate.device, Device.State.RETIRED, now)


def compromise_issuer(certificate, now):
    Issuer.objects.filter(pk=certificate.issuer_id).update(state=Issuer.State.COMPROMISED)


def compromise_root(certificate, now):
    Issuer.objects.filter(subordinates=certificate.issuer_id).update(state=Issuer.State.COMPROMISED)


def retire_root(certificate, now):
    Issuer.objects.filter(subordinates=certificate.issuer_id).update(state=Issuer.State.RETIRED)


def retire_issuer(certificate, now):
    Issuer.objects.filter(pk=certificate.issuer_id).update(state=Issuer.State.RETIRED)


def nothing(certificate, now):
    pass


def first_moment(certificate):
    return certificate.not_before


def last_moment(certificate):
    return certificate.not_after


def too_early(certificate):
    return certificate.not_before - SECOND


def too_late(certificate):
    return certificate.not_after + SECOND


def at_issue(certificate):
    return certificate.issued_at


SITUATIONS = {
    # RFC 5280 4.1.2.5: both ends of the validity belong to it.
    "in its first moment": (nothing, first_moment, None),
    "in its last moment": (nothing, last_moment, None),
    "before its time": (nothing, too_early, status.NotYetValidCertificate),
    "after its time": (nothing, too_late, status.ExpiredCertificate),
    "revoked": (revoke, at_issue, status.RevokedCertificate),
    "of a suspended device": (suspend, at_issue, status.SuspendedDevice),
    "of a retired device": (retire, at_issue, status.RetiredDevice),
    "of a compromised issuer": (compromise_issuer, at_issue, status.CompromisedIssuer),
    "under a compromised root": (compromise_root, at_issue, status.CompromisedIssuer),
    "under a retired root": (retire_root, at_issue, None),
    # It signs no more; what it signed stays good.
    "of a retired issuer": (retire_issuer, at_issue, None),
    "revoked and expired": (revoke, too_late, status.RevokedCertificate),
    "expired, of a suspended device": (suspend, too_late, status.ExpiredCertificate),
}


@pytest.mark.parametrize(("happens", "moment", "refusal"), SITUATIONS.values(), ids=SITUATIONS)
def test_a_certificate_is_judged_by_what_happened_and_when(certificate, now, happens, moment, refusal):
    happens(certificate, now)
    when = moment(certificate)
    if refusal is None:
        assert status.standing(certificate.fingerprint, when).device == "door-1"
    else:
        with pytest.raises(refusal):
            status.standing(certificate.fingerprint, when)


@pytest.mark.parametrize("fingerprint", ["0" * 64, "", "not hex"])
def test_a_certificate_that_is_not_on_record_does_not_stand(certificate, now, fingerprint):
    with pytest.raises(status.UnknownCertificate):
        status.standing(fingerprint, now)


def test_a_listeners_own_certificate_is_no_device(now):
    own = listener_certificates.current("hello", now)
    with pytest.raises(status.NoDeviceCertificate):
        status.standing(own.fingerprint, now)


def test_a_revoked_certificate_says_why_it_was_revoked(certificate, now):
    revoke(certificate, now)
    with pytest.raises(status.RevokedCertificate, match="keyCompromise"):
        status.standing(certificate.fingerprint, now)


def test_a_device_that_is_resumed_stands_again(door, certificate, now):
    suspend(certificate, now)
    change_state(door, Device.State.ACTIVE, now)
    assert status.standing(certificate.fingerprint, now).device == "door-1"


def test_every_refusal_has_a_code_of_its_own():
    kinds = status.NotStanding.__subclasses__()
    assert len({kind.code for kind in kinds} | {status.NotStanding.code}) == len(kinds) + 1


def test_one_certificates_fate_is_not_its_neighbours(door, certificate, now):
    neighbour = issue(door, now)
    revoke(certificate, now)
    assert status.standing(neighbour.fingerprint, now).serial == neighbour.serial


def test_it_is_asked_with_one_query_whatever_the_answer(certificate, now, django_assert_num_queries):
    with django_assert_num_queries(1):
        status.standing(certificate.fingerprint, now)
    revoke(certificate, now)
    with django_assert_num_queries(1), pytest.raises(status.RevokedCertificate):
        status.standing(certificate.fingerprint, now)


def test_the_query_finds_every_row_by_an_index(certificate, now):
    """Tables this small are rather read whole: PostgreSQL is told not to, and then does so in need only."""
    with CaptureQueriesContext(connection) as queries:
        status.standing(certificate.fingerprint, now)
    (query,) = queries
    explain = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"{explain} {query['sql']}")
        plan = [" ".join(map(str, row)) for row in cursor.fetchall()]
    steps = [line for line in plan if "SEARCH" in line or "Scan" in line]
    assert len(steps) == 7, plan
    assert all("SEARCH" in step or "Index" in step for step in steps), plan


def test_a_profile_that_was_changed_since_changes_nothing_for_what_was_issued(certificate, now):
    Profile.objects.filter(name=devices.DEFAULT_PROFILE).update(lifetime_seconds=300)
    assert status.standing(certificate.fingerprint, now + DAY).not_after == certificate.not_after
