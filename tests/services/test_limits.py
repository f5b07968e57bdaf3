"""Floods are answered with 429, and cost no write; whoever has a good token or certificate is served."""

import time
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from pki.core import csr, profiles
from pki.models import AuditEvent, FailureCount, Profile
from pki.services import limits, maintenance
from pki.services.enrolling import enrollment, old_refusals, refusals, tokens
from pki.services.enrolling.limited import LimitedLog
from pki.services.transactions import writing
from tests.clients import make_csr
from tests.services.cast import (
    ADDRESS,
    DAY,
    ELSEWHERE,
    SECOND,
    Gadget,
    at_once,
    device_certificates,
    everything,
    pattern_token,
    refused,
    registered,
    set_policy,
    token_for,
)
from tests.services.renewing_cast import Fielded

pytestmark = pytest.mark.usefixtures("ca", "bounds")

FAILURES, DEVICE_FAILURES, WITHOUT_TOKEN = 5, 3, 4
WINDOW = timedelta(seconds=600)
BAD = "hatch_never-made"


@pytest.fixture
def bounds(settings, monkeypatch):
    settings.PORTAL_LIMIT_FAILURES = FAILURES
    settings.PORTAL_LIMIT_DEVICE_FAILURES = DEVICE_FAILURES
    settings.PORTAL_LIMIT_WITHOUT_TOKEN = WITHOUT_TOKEN
    settings.PORTAL_LIMIT_SECONDS = WINDOW.total_seconds()
    monkeypatch.setattr(refusals, "LIMITED", LimitedLog())


def attempt(gadget, now, secret=BAD, address=ADDRESS):
    """What an enrollment is refused with."""
    with pytest.raises(csr.Refusal) as refusal:
        gadget.enroll(secret, now, address=address)
    return refusal.value


def flood(now, address=ADDRESS, secret=BAD, times=FAILURES):
    return [attempt(Gadget("door-9"), now, secret, address).code for _ in range(times)]


# --- An address -----------------------------------------------------------------------------------


def test_bad_tokens_beyond_the_limit_are_told_when_to_come_again(now):
    assert flood(now) == ["token_invalid"] * FAILURES
    refusal = attempt(Gadget("door-9"), now + 10 * SECOND)
    assert (refusal.code, refusal.pause) == ("too_many_failures", WINDOW - 10 * SECOND)


def test_beyond_the_limit_nothing_is_written_but_that_it_is_reached(now):
    flood(now)
    attempt(Gadget("door-9"), now)
    before = everything()
    for _ in range(20):
        attempt(Gadget("door-9"), now)
    assert everything() == before
    (event,) = AuditEvent.objects.filter(kind="enrollment.limited")
    assert (event.address, event.detail) == (
        ADDRESS,
        {"code": "too_many_failures", "instead_of": "token_invalid"},
    )
    refusals.LIMITED.flush(now + WINDOW)
    counted = AuditEvent.objects.filter(kind="enrollment.limited").values_list("count", flat=True)
    assert sorted(counted) == [1, 20]


def test_who_has_a_good_token_is_served_behind_the_address_of_an_attacker(now):
    door, secret = Gadget("door-1"), token_for(registered("door-1", now), now)
    flood(now, times=FAILURES + 1)
    issued = door.enroll(secret, now)
    assert door.enroll(secret, now).pem == issued.pem, "a lost answer heals, too"
    assert Gadget("door-2").enroll(pattern_token("door-*", now), now).certificate


def test_a_good_enrollment_asks_and_writes_nothing_for_the_limits(now):
    secret = token_for(registered("door-1", now), now)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        Gadget("door-1").enroll(secret, now)
    assert not [each["sql"] for each in queries if "failurecount" in each["sql"].lower()]


def test_a_device_with_a_good_token_is_told_what_is_wrong_behind_the_address_of_an_attacker(now):
    secret = token_for(registered("door-1", now), now)
    flood(now, times=FAILURES + 1)
    assert attempt(Gadget("door-2"), now, secret).code == "name_mismatch"


def test_other_addresses_are_not_limited(now):
    flood(now)
    assert attempt(Gadget("door-9"), now, address=ELSEWHERE).code == "token_invalid"


def test_one_ipv6_host_is_limited_with_all_addresses_of_its_64(now):
    flood(now, "2001:db8:0:1::1")
    assert attempt(Gadget("door-9"), now, address="2001:db8:0:1:ffff::2").code == "too_many_failures"
    assert attempt(Gadget("door-9"), now, address="2001:db8:0:2::1").code == "token_invalid"


@pytest.mark.parametrize("secret", [BAD, None])
def test_a_site_of_ipv6_has_no_more_failures_than_sixteen_hosts(now, monkeypatch, secret):
    """A /48 has 65,536 networks of the size that a host is given."""
    monkeypatch.setattr(limits, "SLOTS", 10**9)  # as long as a key may be
    if secret is None:
        set_policy(Profile.Policy.APPROVAL)
    most = (WITHOUT_TOKEN if secret is None else FAILURES) * limits.HOSTS_OF_A_SITE
    spend = limits.without_token if secret is None else limits.of_address
    with writing():
        for number in range(most):
            limits.spend(spend(f"2001:db8:1:{number:x}::1"), now)
    code = "too_many_without_token" if secret is None else "too_many_failures"
    assert attempt(Gadget("door-9"), now, secret, "2001:db8:1:ffff::1").code == code
    if secret is None:
        assert Gadget("door-9").enroll(None, now, address="2001:db8:2::1")
    else:
        assert attempt(Gadget("door-9"), now, secret, "2001:db8:2::1").code == "token_invalid"


def test_what_one_limit_refuses_is_not_counted_by_the_other(now):
    flood(now, "2001:db8:0:1::1")
    with pytest.raises(limits.TooManyFailures), writing():
        limits.spend(limits.of_address("2001:db8:0:1::1"), now)
    assert sorted(FailureCount.objects.values_list("count", flat=True)) == [FAILURES, FAILURES]


def test_the_window_ends_and_knocking_does_not_prolong_it(now):
    flood(now)
    assert attempt(Gadget("door-9"), now + WINDOW - SECOND).code == "too_many_failures"
    assert flood(now + WINDOW + SECOND) == ["token_invalid"] * FAILURES
    assert attempt(Gadget("door-9"), now + WINDOW + 2 * SECOND).code == "too_many_failures"


def test_another_process_knows_of_the_limit_at_its_first_refusal(now):
    flood(now)
    limits.forget()  # as a worker that has just started
    before = everything()
    assert attempt(Gadget("door-9"), now).code == "too_many_failures"
    assert {label for label, rows in everything().items() if rows != before[label]} == {"pki.AuditEvent"}


@pytest.mark.parametrize("ahead", [WINDOW / 2, 3 * WINDOW])
def test_a_clock_that_was_ahead_limits_nobody_for_longer_than_a_window(now, ahead):
    flood(now + ahead)
    limits.forget()
    refusal = attempt(Gadget("door-9"), now)
    assert refusal.code == ("too_many_failures" if ahead < WINDOW else "token_invalid")
    assert getattr(refusal, "pause", WINDOW) <= WINDOW


def test_whatever_is_refused_unread_counts_too(now):
    for _ in range(FAILURES):
        enrollment.refuse(csr.CsrTooLarge("Too large."), ADDRESS, now)
    assert enrollment.refuse(csr.CsrTooLarge("Too large."), ADDRESS, now).code == "too_many_failures"


def test_an_administrators_word_counts_for_more_than_the_limit(now, monkeypatch):
    """A CSR that was allowed once is served, whoever floods at its address."""
    allowed = object()
    flood(now)
    monkeypatch.setattr(enrollment.lost_answers, "allowed_once", lambda request, now: allowed)
    assert Gadget("door-1").enroll(BAD, now) is allowed


# --- A token, a device ------------------------------------------------------------------------------


def test_failures_with_a_token_are_its_own_and_not_the_addresses(now):
    secret = token_for(registered("door-1", now), now)
    assert flood(now, secret=secret, times=DEVICE_FAILURES) == ["name_mismatch"] * DEVICE_FAILURES
    assert attempt(Gadget("door-9"), now, secret, ELSEWHERE).code == "too_many_failures"
    assert attempt(Gadget("door-9"), now).code == "token_invalid"
    assert Gadget("door-1").enroll(secret, now).certificate, "what is right is served"


def test_who_found_a_used_up_token_does_not_keep_its_device_from_renewing(now):
    door = Gadget("door-1")
    secret = token_for(registered("door-1", now), now)
    made = Fielded("door-1", door.key)
    made.certificate = door.enroll(secret, now).certificate
    flood(now, secret=secret, times=DEVICE_FAILURES + 1)
    assert made.renew(made.next.csr, now).certificate


def test_a_device_whose_renewals_fail_is_told_to_pause_and_others_are_not(now):
    door, gate = Fielded.enrolled("door-1", now), Fielded.enrolled("gate-1", now)
    for _ in range(DEVICE_FAILURES):
        with pytest.raises(profiles.NameMismatch):
            door.renew(make_csr("gate-1"), now)
    with pytest.raises(limits.TooManyFailures) as refusal:
        door.renew(make_csr("gate-1"), now)
    assert refusal.value.pause == WINDOW
    assert gate.renew(gate.next.csr, now).certificate
    assert door.renew(door.next.csr, now + WINDOW).certificate


# --- Without a token --------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [Profile.Policy.OPEN, Profile.Policy.APPROVAL])
def test_enrollments_without_a_token_are_limited_by_address(now, policy):
    set_policy(policy)
    gadgets = [Gadget(f"door-{number}") for number in range(WITHOUT_TOKEN)]
    for gadget in gadgets:
        gadget.enroll(None, now)
    before = everything()
    refusal = attempt(Gadget("door-9"), now, None)
    assert (refusal.code, refusal.pause) == ("too_many_without_token", WINDOW)
    changed = {label for label, rows in everything().items() if rows != before[label]}
    assert changed == {"pki.AuditEvent"}, "no device, no request, no certificate"
    assert gadgets[0].enroll(None, now), "who has asked before may ask again"
    assert Gadget("door-10").enroll(None, now, address=ELSEWHERE)
    assert Gadget("door-11").enroll(None, now + WINDOW + SECOND)


def test_without_a_token_where_one_is_needed_counts_as_a_failure(now):
    assert flood(now, secret=None) == ["token_missing"] * FAILURES
    assert attempt(Gadget("door-9"), now, None).code == "too_many_failures"
    assert device_certificates() == []


# --- Bounds -----------------------------------------------------------------------------------------


def test_addresses_without_end_do_not_fill_the_table_or_the_memory(now, monkeypatch):
    monkeypatch.setattr(limits, "SLOTS", 8)
    monkeypatch.setattr(limits, "MOST_REMEMBERED", 4)
    codes = {attempt(Gadget("door-9"), now, address=f"2001:db8:0:{number:x}::1").code for number in range(60)}
    assert FailureCount.objects.count() <= 2 * 8
    assert codes == {"token_invalid", "too_many_failures"}, "together they reach what one would"
    assert sum(refusal.count for refusal in refused()) <= 8 * FAILURES
    assert len(limits._MEMORY._until) <= 4
    assert Gadget("door-1").enroll(token_for(registered("door-1", now), now), now)


def test_which_addresses_share_a_row_is_not_known_without_the_secret_key(settings):
    before = limits.of_address(ADDRESS).key
    settings.SECRET_KEY = "another" * 10
    assert limits.of_address(ADDRESS).key != before


def test_counts_of_windows_that_are_over_are_forgotten(now):
    flood(now)
    limits.prune(now + WINDOW - SECOND)
    assert FailureCount.objects.exists()
    said = [each.said for each in maintenance.run(lambda: now + WINDOW) if each.task == "ended limits"]
    assert said == ["1 forgotten"]
    assert not FailureCount.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_no_more_than_the_limit_is_kept(now):
    jobs = 8
    outcomes = at_once(*[lambda: [attempt(Gadget("door-9"), now).code for _ in range(4)]] * jobs)
    assert sum(codes.count("token_invalid") for codes in outcomes) == FAILURES
    assert sum(refusal.count for refusal in refused()) == FAILURES


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("window", ["new", "begun"])
def test_of_many_at_once_no_more_than_the_limit_are_let_by(now, window):
    """Each looks before another one's transaction ends, whose count it cannot see."""
    limit = limits.without_token(ADDRESS)
    if window == "begun":
        with writing():
            limits.spend(limit, now)

    def spend():
        with writing():
            limits.spend(limit, now)
            time.sleep(0.05)
        return "let by"

    outcomes = at_once(*[spend] * 8)
    assert outcomes.count("let by") == WITHOUT_TOKEN - (window == "begun")
    assert {type(each) for each in outcomes} == {str, limits.TooManyWithoutToken}


def test_the_secret_of_a_token_is_not_told_by_the_limit(now):
    """Used up, cancelled, unknown: one answer before the limit, and one after it."""
    cancelled = pattern_token("*", now)
    tokens.cancel(tokens.find(cancelled, now), enrollment.Actor("shell:test"), now)
    flood(now)
    assert attempt(Gadget("door-9"), now, cancelled).detail == attempt(Gadget("door-9"), now).detail


# --- What is kept of refusals ----------------------------------------------------------------------


def forgotten():
    return sum(each["requests"] for each in events("enrollment.forgotten"))


def events(kind):
    return AuditEvent.objects.filter(kind=kind).values_list("detail", flat=True)


def test_old_refusals_are_forgotten_and_the_audit_trail_keeps_them(now):
    set_policy(Profile.Policy.APPROVAL)
    waiting = Gadget("door-1").enroll(None, now - old_refusals.KEPT)
    attempt(Gadget("door-2"), now - old_refusals.KEPT - 2 * DAY)
    attempt(Gadget("door-3"), now - old_refusals.KEPT + SECOND)
    said = [each.said for each in maintenance.run(lambda: now) if each.task == "old refusals"]
    assert said == ["1 forgotten"]
    assert [each.name for each in refused()] == ["door-3"]
    waiting.refresh_from_db()
    assert (forgotten(), len(events("enrollment.refused"))) == (1, 2)
    assert old_refusals.prune(now) == 0
    assert len(events("enrollment.forgotten")) == 1, "nothing to say of nothing"


def test_the_oldest_of_too_many_refusals_are_forgotten(now, settings, monkeypatch):
    settings.PORTAL_LIMIT_FAILURES = 100
    monkeypatch.setattr(old_refusals, "MOST_KEPT", 3)
    monkeypatch.setattr(old_refusals, "_AT_ONCE", 2)
    for number in range(4):
        attempt(Gadget(f"door-{number}"), now + number * SECOND)
    assert old_refusals.prune(now + 10 * SECOND) == 0, "a few more are no reason yet"
    for number in range(4, 8):
        attempt(Gadget(f"door-{number}"), now + number * SECOND)
    assert old_refusals.prune(now + 10 * SECOND) == 5
    assert {each.name for each in refused()} == {"door-5", "door-6", "door-7"}
    assert forgotten() == 5
