"""A device renews: what it gets, what it is refused, and what becomes of an answer that is lost."""

from datetime import timedelta

import pytest
from cryptography import x509
from django.db import connection
from django.test.utils import CaptureQueriesContext

from pki.core import csr, profiles
from pki.models import AuditEvent, Certificate, Device, EnrollmentRequest, Issuer, Renewal, Revocation
from pki.services.fleet import devices, rotation
from pki.services.issuing import authorities, issuance
from pki.services.proving import status
from pki.services.renewing import refusals, renewal, windows
from pki.services.renewing.refusals import RefusedRenewalLog
from pki.services.revoking import revocation
from tests.clients import make_csr
from tests.services.campaigns.cast import under_another_root
from tests.services.cast import (
    ADDRESS,
    DAY,
    SECOND,
    TESTER,
    Gadget,
    change_state,
    device_certificates,
    everything,
    issue,
    registered,
    statements,
)
from tests.services.renewing_cast import Fielded, renewal_of, set_profile

pytestmark = pytest.mark.usefixtures("ca")


@pytest.fixture(autouse=True)
def log(monkeypatch):
    """Nothing is folded into what another test noted."""
    fresh = RefusedRenewalLog()
    monkeypatch.setattr(refusals, "REFUSED_RENEWALS", fresh)
    return fresh


@pytest.fixture
def door(ca, now):
    return Fielded.enrolled("door-1", now)


def revoke(certificate, now, reason=Revocation.Reason.UNSPECIFIED):
    revocation.revoke([certificate], reason, TESTER, now)


def as_stored():
    """All that is stored but what is said of refusals, and their number."""
    said = ("pki.AuditEvent", "pki.FailureCount")
    return {label: rows for label, rows in everything().items() if label not in said}


# --- What it gets ---------------------------------------------------------------------------------------


def test_a_device_gets_a_certificate_for_its_new_key_and_the_old_one_stays_good(door, now):
    later, after = now + 20 * DAY, door.next
    issued = door.renew(after.csr, later)
    assert issued.certificate.spki_sha256 == csr.verify(after.csr).spki_sha256
    assert issued.certificate.device == door.device
    assert issued.certificate.common_name == "door-1"
    assert status.standing(issued.certificate.fingerprint, later).device == "door-1"
    assert status.standing(door.certificate.fingerprint, later).device == "door-1"
    assert issued.certificate.not_after == door.certificate.not_after + 20 * DAY
    assert issued.pem.count(b"BEGIN CERTIFICATE") == 2


def test_a_renewal_is_on_record_with_who_from_where_and_in_place_of_what(door, now):
    issued = door.renew(door.next.csr, now + DAY)
    kept = renewal_of(issued.certificate)
    assert (kept.replaced, kept.device, kept.address, kept.at) == (
        door.certificate,
        door.device,
        ADDRESS,
        now + DAY,
    )
    assert (kept.used_at, kept.supersede_at) == (None, None)
    event = AuditEvent.objects.get(kind="certificate.issued", certificate=issued.certificate)
    assert (event.actor, event.address) == ("device:door-1", ADDRESS)
    assert event.detail["renews"] == door.certificate.serial


def test_a_renewed_certificate_is_renewed_in_its_turn(door, now):
    second = door.renew(door.next.csr, now + DAY).certificate
    third = door.renew(door.next.csr, now + 2 * DAY, shown=second).certificate
    assert renewal_of(third).replaced == second
    assert len(device_certificates()) == 3


@pytest.mark.parametrize("common_name", [None, "door-1"])
def test_the_cn_is_the_devices_name_or_left_out(door, now, common_name):
    assert door.renew(make_csr(common_name), now).certificate.common_name == "door-1"


def test_names_come_from_the_record_and_from_what_the_profile_still_allows_of_the_old_certificate(ca, now):
    set_profile(sans_from_request=["DNS", "IP"], subject_from_request=["O", "OU"])
    device = registered("door-1", now)
    wishes = csr.verify(
        make_csr(
            subject=[(x509.NameOID.ORGANIZATION_NAME, "Old"), (x509.NameOID.ORGANIZATIONAL_UNIT_NAME, "3")],
            sans=[x509.DNSName("wish.example"), x509.UniformResourceIdentifier("https://wish.example")],
        )
    )
    first, _ = issuance.issue(device, wishes, TESTER, now)
    set_profile(sans_from_request=["DNS", "URI"], subject_from_request=["OU"])
    Device.objects.update(subject={"O": "Recorded"}, sans=["DNS:record.example"])

    door = Fielded("door-1")
    issued = door.renew(make_csr(sans=[x509.DNSName("new.example")]), now, shown=first.certificate)
    assert issued.certificate.sans == ["DNS:record.example", "DNS:wish.example"]
    assert issued.certificate.parsed.subject.rfc4514_string() == "CN=door-1,OU=3,O=Recorded"
    event = AuditEvent.objects.get(kind="certificate.issued", certificate=issued.certificate)
    assert event.detail["ignored"] == ["SAN DNS:new.example", "subject O"]


def test_a_name_that_the_profile_allows_no_more_is_left_out(ca, now):
    set_profile(sans_from_request=["DNS"])
    device = registered("door-1", now)
    first, _ = issuance.issue(device, csr.verify(make_csr(sans=[x509.DNSName("wish.example")])), TESTER, now)
    assert first.certificate.sans == ["DNS:wish.example"]
    set_profile(sans_from_request=[])
    assert Fielded("door-1").renew(make_csr(), now, shown=first.certificate).certificate.sans == []


def test_the_next_certificate_is_by_the_issuer_and_the_profile_that_the_device_has_by_then(door, now):
    root = authorities.root_of(door.device.profile.issuer)
    other = authorities.make_subordinate("Next CA", root, "P-256", TESTER, now)
    Device.objects.update(issuer=other)
    set_profile(lifetime_seconds=3600)
    issued = door.renew(door.next.csr, now)
    assert issued.certificate.issuer == other
    assert issued.certificate.not_after - issued.certificate.not_before < timedelta(hours=2)
    assert status.standing(issued.certificate.fingerprint, now).asked is False
    assert status.standing(door.certificate.fingerprint, now).asked is True


def lose(issuer, now):
    """Declare the root of an issuer compromised; the issuer itself stays active."""
    authorities.change_state(authorities.root_of(issuer), Issuer.State.COMPROMISED, TESTER, now)


def test_a_good_device_gets_nothing_of_an_issuer_below_a_compromised_root(door, now):
    other = under_another_root(now)
    set_profile(issuer=other)
    lose(other, now)
    before = as_stored()
    with pytest.raises(issuance.IssuerInactive, match="is below the compromised Second Root"):
        door.renew(door.next.csr, now)
    assert as_stored() == before
    assert not status.standing(door.certificate.fingerprint, now).asked


def test_a_campaigns_issuer_below_a_compromised_root_decides_nothing(door, now):
    other = under_another_root(now)
    lose(other, now)
    Device.objects.update(issuer=other)  # as a step sets it that began before
    assert not status.standing(door.certificate.fingerprint, now).asked
    issued = door.renew(door.next.csr, now)
    assert issued.certificate.issuer == door.certificate.issuer
    assert status.standing(issued.certificate.fingerprint, now)


def test_an_answer_of_an_issuer_that_was_lost_since_is_not_given_again(door, now):
    other = under_another_root(now)
    Device.objects.update(issuer=other)
    set_profile(renew_same_key=True)
    assert door.renew(door.csr, now).certificate.issuer == other
    lose(other, now)
    again = door.renew(door.csr, now).certificate
    assert again.issuer == door.certificate.issuer
    assert status.standing(again.fingerprint, now)


@pytest.mark.parametrize("led", [False, True], ids=["its profile's", "a campaign's"])
def test_that_its_issuers_root_stands_is_asked_with_no_query_of_its_own(door, now, led):
    if led:
        Device.objects.update(issuer=under_another_root(now))
    door.renew(door.next.csr, now)
    with CaptureQueriesContext(connection) as queries:
        door.renew(door.next.csr, now)
    assert not [query["sql"] for query in queries if 'FROM "pki_issuer"' in query["sql"]]


def test_a_renewal_costs_no_more_statements_than_it_must(door, now):
    """Put together anew by the ORM, each would cost a tenth of all; see docs/performance.md."""
    identity = status.renewable(door.certificate.fingerprint, now)
    with CaptureQueriesContext(connection) as queries:
        renewal.renew(identity, door.next.csr, ADDRESS, now)
    assert statements(queries) == [
        ("SELECT", "device"),  # held, with its profile and its issuers
        ("SELECT", "certificate"),  # the one that was shown, held
        ("SELECT", "certificate"),  # whether that still stands
        ("SELECT", "certificate"),  # of the device, for the new key
        ("SELECT", "renewal"),
        ("SELECT", "certificate"),  # of anybody, for the new key
        ("INSERT", "certificate"),
        ("INSERT", "auditevent"),
        ("SELECT", "crosscertificate"),
        ("INSERT", "renewal"),
    ]


# --- What it is refused ---------------------------------------------------------------------------------


def another_key(door, now):
    """A key of another device."""
    return Fielded.enrolled("gate-1", now).key


def a_compromised_key(door, now):
    before = Gadget("door-1")
    revoke(door.renew(before.csr, now).certificate, now, Revocation.Reason.KEY_COMPROMISE)
    return before.key


def its_own_key(door, now):
    return door.key


def a_key_that_it_had_before(door, now):
    before = Gadget("door-1")
    issuance.issue(door.device, csr.verify(before.csr), TESTER, now)
    return before.key


def its_own_key_while_it_rotates(door, now):
    set_profile(renew_same_key=True)
    rotation.request(door.device, TESTER, now)
    return door.key


KEYS = {
    "its own": (its_own_key, renewal.SameKeyRefused),
    "one that it had before": (a_key_that_it_had_before, renewal.SameKeyRefused),
    "its own, while it is to have a new one": (its_own_key_while_it_rotates, issuance.KeyNotNew),
    "another device's": (another_key, issuance.KeyInUse),
    "a compromised one": (a_compromised_key, issuance.KeyCompromised),
}


@pytest.mark.parametrize(("key", "refusal"), KEYS.values(), ids=KEYS)
def test_a_key_that_is_not_new_is_refused_with_the_reason(door, now, key, refusal):
    pem = make_csr("door-1", key=key(door, now))
    before = as_stored()
    with pytest.raises(refusal):
        door.renew(pem, now + DAY)
    assert as_stored() == before


def test_a_profile_may_allow_the_same_key(door, now):
    set_profile(renew_same_key=True)
    issued = door.renew(door.csr, now + 25 * DAY)
    assert issued.certificate.spki_sha256 == door.certificate.spki_sha256
    assert issued.certificate != door.certificate


def suspend(door, now):
    change_state(door.device, Device.State.SUSPENDED, now)


def retire_issuer(door, now):
    Issuer.objects.filter(subordinates=None).update(state=Issuer.State.RETIRED)


def want_another_key_kind(door, now):
    set_profile(key_kinds=["Ed25519"])


def nothing(door, now):
    pass


SITUATIONS = {
    "another device's name": (nothing, lambda: make_csr("gate-1"), profiles.NameMismatch),
    "no CSR": (nothing, lambda: b"", csr.CsrMissing),
    "no PEM": (nothing, lambda: b"\x30\x00", csr.CsrNotPem),
    "an issuer that signs no more": (retire_issuer, make_csr, issuance.IssuerInactive),
    "a kind of key that the profile has given up": (want_another_key_kind, make_csr, profiles.KeyKindRefused),
}


@pytest.mark.parametrize(("happens", "pem", "refusal"), SITUATIONS.values(), ids=SITUATIONS)
def test_a_refused_renewal_stores_nothing_but_its_record(door, now, happens, pem, refusal):
    happens(door, now)
    before = as_stored()
    with pytest.raises(refusal) as raised:
        door.renew(pem(), now)
    assert as_stored() == before
    event = AuditEvent.objects.get(kind="renewal.refused")
    assert (event.actor, event.address) == ("device:door-1", ADDRESS)
    assert (event.device, event.certificate) == (door.device, door.certificate)
    assert event.detail == {"code": raised.value.code, "reason": raised.value.detail}


def test_a_broken_device_in_a_loop_fills_no_audit_trail(door, now, log):
    for number in range(50):
        with pytest.raises(renewal.SameKeyRefused):
            door.renew(door.csr, now + number * SECOND)
    assert AuditEvent.objects.filter(kind="renewal.refused").count() == 1
    log.flush(now + 61 * SECOND)
    counts = AuditEvent.objects.filter(kind="renewal.refused").order_by("pk").values_list("count", flat=True)
    assert list(counts) == [1, 49]


def test_refusals_of_different_devices_are_apart(door, now):
    gate = Fielded.enrolled("gate-1", now)
    for device in (door, gate):
        with pytest.raises(renewal.SameKeyRefused):
            device.renew(device.csr, now)
    assert AuditEvent.objects.filter(kind="renewal.refused").count() == 2


STOPS = {
    "its certificate is revoked": (
        lambda door, now: revoke(door.certificate, now),
        status.RevokedCertificate,
    ),
    "its certificate is put on hold": (
        lambda door, now: revoke(door.certificate, now, revocation.HOLD),
        status.RevokedCertificate,
    ),
    "it is suspended": (suspend, status.SuspendedDevice),
    "it is retired": (lambda door, now: change_state(door.device, "retired", now), status.RetiredDevice),
    "its issuer is declared compromised": (
        lambda door, now: Issuer.objects.update(state=Issuer.State.COMPROMISED),
        status.CompromisedIssuer,
    ),
}


@pytest.mark.parametrize(("happens", "refusal"), STOPS.values(), ids=STOPS)
def test_who_is_stopped_between_its_proof_and_its_renewal_gets_nothing(door, now, happens, refusal):
    identity = status.renewable(door.certificate.fingerprint, now)
    happens(door, now)
    before = as_stored()
    with pytest.raises(refusal):
        renewal.renew(identity, door.next.csr, ADDRESS, now)
    assert as_stored() == before


# --- A lost answer --------------------------------------------------------------------------------------


def test_a_lost_answer_heals(door, now):
    after = door.next
    first = door.renew(after.csr, now)
    before = everything()
    again = door.renew(after.csr, now + DAY)
    assert again.pem == first.pem
    assert everything() == before


def test_a_lost_answer_heals_for_the_same_key_until_the_new_certificate_is_itself_due(door, now):
    set_profile(renew_same_key=True)
    first = door.renew(door.csr, now + 20 * DAY)
    due = windows.of_certificate(first.certificate, now).window.start
    # The old one would have ended; what it stands for here is a profile whose lives were longer before.
    set_profile(grace_hours=30 * 24)
    assert door.renew(door.csr, due - SECOND).pem == first.pem
    assert door.renew(door.csr, due).pem != first.pem


def test_for_the_same_key_an_answer_is_not_given_again_once_a_campaign_asks_anew(door, now):
    set_profile(renew_same_key=True)
    first = door.renew(door.csr, now)
    root = authorities.root_of(door.device.profile.issuer)
    other = authorities.make_subordinate("Next CA", root, "P-256", TESTER, now)
    Device.objects.update(issuer=other)
    again = door.renew(door.csr, now + DAY)
    assert again.pem != first.pem
    assert again.certificate.issuer == other


def test_a_lost_answer_that_was_revoked_is_not_given_again(door, now):
    after = door.next
    revoke(door.renew(after.csr, now).certificate, now)
    with pytest.raises(renewal.SameKeyRefused):
        door.renew(after.csr, now + DAY)


@pytest.mark.parametrize("same_key", [False, True], ids=["a new key", "the same key"])
def test_a_lost_answer_that_has_ended_is_not_given_again(door, now, same_key):
    set_profile(lifetime_seconds=3600, renew_same_key=same_key)
    after = door.next
    lost = door.renew(after.csr, now).certificate
    assert door.renew(after.csr, lost.not_after).certificate == lost
    then = lost.not_after + SECOND
    if same_key:
        assert status.standing(door.renew(after.csr, then).certificate.fingerprint, then)
    else:
        with pytest.raises(renewal.SameKeyRefused):
            door.renew(after.csr, then)


def test_a_lost_answer_does_not_heal_past_a_wish_for_a_new_key(door, now):
    after = door.next
    door.renew(after.csr, now)
    rotation.request(door.device, TESTER, now + SECOND)
    with pytest.raises(issuance.KeyNotNew):
        door.renew(after.csr, now + 2 * SECOND)
    assert door.renew(door.next.csr, now + 2 * SECOND)


def test_a_lost_answer_heals_only_for_the_certificate_that_was_shown_then(door, now):
    after = door.next
    door.renew(after.csr, now)
    with pytest.raises(renewal.SameKeyRefused):
        door.renew(after.csr, now, shown=issue(door.device, now))


def test_a_lost_answer_is_not_given_to_another_name(door, now):
    after = door.next
    door.renew(after.csr, now)
    with pytest.raises(profiles.NameMismatch):
        door.renew(make_csr("gate-1", key=after.key), now)


# --- The bound ------------------------------------------------------------------------------------------


def renew_without_pause(door, now):
    for _ in range(renewal.MOST):
        door.renew(door.next.csr, now)


def test_a_device_that_loses_whatever_it_gets_is_told_to_pause(door, now):
    renew_without_pause(door, now)
    before = as_stored()
    with pytest.raises(renewal.TooManyRenewals) as refused:
        door.renew(door.next.csr, now)
    assert timedelta(0) < refused.value.pause <= DAY
    assert as_stored() == before


def test_an_answer_that_was_lost_is_given_again_in_a_pause_too(door, now):
    after = door.next
    first = door.renew(after.csr, now)
    for _ in range(renewal.MOST - 1):
        door.renew(door.next.csr, now)
    with pytest.raises(renewal.TooManyRenewals):
        door.renew(door.next.csr, now)
    assert door.renew(after.csr, now).pem == first.pem


@pytest.mark.parametrize("life", [timedelta(minutes=5), timedelta(hours=24), 3650 * DAY])
def test_nobody_waits_longer_than_a_day_or_a_tenth_of_a_life(ca, now, life):
    set_profile(lifetime_seconds=int(life.total_seconds()))
    door = Fielded.enrolled("door-1", now)
    renew_without_pause(door, now)
    with pytest.raises(renewal.TooManyRenewals) as refused:
        door.renew(door.next.csr, now)
    pause = refused.value.pause
    assert pause <= min(DAY, (door.certificate.not_after - door.certificate.not_before) / 10)
    assert door.renew(door.next.csr, now + pause)
    with pytest.raises(renewal.TooManyRenewals):
        door.renew(door.next.csr, now + pause)


def test_new_certificates_do_not_let_a_device_renew_more_often(door, now):
    """One that renews each certificate it gets would have ten times ten, and so on."""
    shown = door.certificate
    for _ in range(renewal.MOST):
        shown = door.renew(door.next.csr, now, shown=shown).certificate
    with pytest.raises(renewal.TooManyRenewals):
        door.renew(door.next.csr, now, shown=shown)


def test_renewals_of_an_earlier_life_do_not_count(door, now):
    renew_without_pause(door, now)
    later = now + 31 * DAY
    shown = issue(door.device, later)
    assert door.renew(door.next.csr, later, shown=shown)


def test_one_devices_pause_is_not_its_neighbours(door, now):
    renew_without_pause(door, now)
    gate = Fielded.enrolled("gate-1", now)
    assert gate.renew(gate.next.csr, now)


# --- Sleepers -------------------------------------------------------------------------------------------


def end_issuer(door, now):
    Issuer.objects.filter(subordinates=None).update(not_after=door.certificate.not_after + 30 * SECOND)


def end_root(door, now):
    Issuer.objects.filter(parent=None).update(not_after=door.certificate.not_after + 30 * SECOND)


def compromise(door, now):
    Issuer.objects.filter(subordinates=None).update(state=Issuer.State.COMPROMISED)


HOUR = timedelta(hours=1)
SLEEPERS = {
    "within its grace": (nothing, 24, 24 * HOUR, None),
    "a second after its grace": (nothing, 24, 24 * HOUR + SECOND, status.ExpiredCertificate),
    "without grace": (nothing, 0, SECOND, status.ExpiredCertificate),
    "revoked": (lambda door, now: revoke(door.certificate, now), 24, HOUR, status.RevokedCertificate),
    "suspended": (suspend, 24, HOUR, status.ExpiredCertificate),
    "of an issuer that has ended": (end_issuer, 24, HOUR, status.ExpiredCertificate),
    "under a root that has ended": (end_root, 24, HOUR, status.ExpiredCertificate),
    "of a compromised issuer": (compromise, 24, HOUR, status.CompromisedIssuer),
}


@pytest.mark.parametrize(("happens", "hours", "late", "refusal"), SLEEPERS.values(), ids=SLEEPERS)
def test_a_device_that_slept_past_its_end_renews_only_by_its_profiles_grace(
    door, now, happens, hours, late, refusal
):
    set_profile(grace_hours=hours)
    happens(door, now)
    then = door.certificate.not_after + late
    with pytest.raises(status.NotStanding):
        status.standing(door.certificate.fingerprint, then)
    if refusal is None:
        issued = door.renew(door.next.csr, then)
        assert status.standing(issued.certificate.fingerprint, then).device == "door-1"
    else:
        with pytest.raises(refusal):
            door.renew(door.next.csr, then)


def test_grace_is_that_of_the_profile_that_the_device_has_now(door, now):
    generous = devices.default_profile()
    generous.pk, generous.name, generous.grace_hours, generous._state.adding = None, "generous", 24, True
    generous.save()
    then = door.certificate.not_after + HOUR
    with pytest.raises(status.ExpiredCertificate):
        status.renewable(door.certificate.fingerprint, then)
    Device.objects.update(profile=generous)
    assert status.renewable(door.certificate.fingerprint, then).device == "door-1"


def test_who_is_in_time_costs_one_query_and_who_is_late_one_more(door, now, django_assert_num_queries):
    set_profile(grace_hours=1)
    with django_assert_num_queries(1):
        status.renewable(door.certificate.fingerprint, now)
    with django_assert_num_queries(2):
        status.renewable(door.certificate.fingerprint, door.certificate.not_after + SECOND)


# --- Asking ---------------------------------------------------------------------------------------------


def test_a_device_is_asked_by_a_rotation_until_it_shows_a_newer_certificate(door, now):
    rotation.request(door.device, TESTER, now)
    assert status.standing(door.certificate.fingerprint, now).asked
    issued = door.renew(door.next.csr, now + SECOND)
    assert not status.standing(issued.certificate.fingerprint, now + SECOND).asked


def test_the_console_is_told_the_same_as_the_device(door, now):
    rotation.request(door.device, TESTER, now)
    for certificate in Certificate.objects.select_related("device").exclude(device=None):
        identity = status.standing(certificate.fingerprint, now)
        assert windows.of_certificate(certificate, now) == windows.of(identity)


def test_nothing_of_a_renewal_is_an_enrollment(door, now):
    before = EnrollmentRequest.objects.count()
    door.renew(door.next.csr, now)
    assert EnrollmentRequest.objects.count() == before
    assert Renewal.objects.count() == 1
