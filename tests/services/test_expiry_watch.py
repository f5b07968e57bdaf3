"""Whoever is late is told of, once for each threshold, and nobody else."""

from datetime import timedelta

import pytest

from pki.models import Certificate, Device, ExpiryMark, ExpiryWarning, Issuer, Notice, Profile, Revocation
from pki.services.issuing import authorities, listener_certificates
from pki.services.revoking import revocation
from pki.services.telling import expiry, moments, notices
from pki.services.telling.expiry import how_often, watch
from tests.services.cast import DAY, SECOND, TESTER, change_state, issue, registered

HOUR = timedelta(hours=1)


@pytest.fixture
def yearly(ca):
    """The devices' profile with a life in which each threshold is told as it is."""
    Profile.objects.filter(name="device").update(lifetime_seconds=360 * 86400, warn_days=[30, 7, 1])
    return Profile.objects.get(name="device")


@pytest.fixture
def door(yearly, now):
    """A device with one certificate."""
    device = registered("door", now)
    issue(device, now)
    return device


def certificate_of(device):
    return Certificate.objects.filter(device=device).latest("pk")


def before_end(device, days=0, **more):
    return certificate_of(device).not_after - timedelta(days=days, **more)


def warnings():
    """Which certificates' names somebody was warned of, with the thresholds, in their order."""
    rows = ExpiryWarning.objects.exclude(certificate=None).order_by("pk")
    return list(rows.values_list("certificate__common_name", "days"))


def told():
    return Notice.objects.filter(kind="certificate.expiring").order_by("pk")


def test_each_threshold_is_told_once(door):
    watch(before_end(door, 31))
    assert warnings() == []
    for days in (30, 7, 1):
        watch(before_end(door, days))
        watch(before_end(door, days) + SECOND)
        watch(before_end(door, days) + how_often(days * DAY))
    assert warnings() == [("door", 30), ("door", 7), ("door", 1)]
    assert told().count() == 3


def test_a_notice_says_whose_and_when(door):
    watch(before_end(door, 7))
    notice = told().get()
    certificate = certificate_of(door)
    assert notice.count == 1
    assert notice.detail == {
        "profile": "device",
        "days": 7,
        "certificates": [
            {
                "name": "door",
                "serial": certificate.serial,
                "not_after": moments.written(certificate.not_after),
            }
        ],
    }
    assert "door" in notice.summary


def test_of_thresholds_that_have_all_passed_the_nearest_is_told(door):
    watch(before_end(door, hours=5))
    assert warnings() == [("door", 1)]


def test_what_ended_before_anybody_looked_is_no_news(door):
    watch(before_end(door) + SECOND)
    assert warnings() == []


def test_many_are_one_notice_with_fifty_names(yearly, now):
    devices = [registered(f"door-{number:02}", now) for number in range(60)]
    for number, device in enumerate(devices):
        issue(device, now + number * SECOND)
    watch(before_end(devices[-1], 7) + SECOND)
    notice = told().get()
    assert notice.count == 60
    # Those that end first.
    assert [each["name"] for each in notice.detail["certificates"]] == [f"door-{n:02}" for n in range(50)]


def test_each_profile_has_its_notice_and_its_thresholds(yearly, now):
    other = Profile.objects.create(
        name="other",
        issuer=yearly.issuer,
        lifetime_seconds=360 * 86400,
        warn_days=[14],
        extended_key_usages=["clientAuth"],
    )
    issue(registered("door", now), now)
    lamp = registered("lamp", now)
    Device.objects.filter(pk=lamp.pk).update(profile=other)
    issue(Device.objects.get(pk=lamp.pk), now)
    watch(before_end(lamp, 14) + SECOND)
    assert sorted(warnings()) == [("door", 30), ("lamp", 14)]
    assert sorted(told().values_list("detail__profile", flat=True)) == ["device", "other"]


def test_no_thresholds_say_nothing(door):
    Profile.objects.update(warn_days=[])
    watch(before_end(door, hours=1))
    assert warnings() == []


@pytest.mark.parametrize("broken", [["7"], [None], [0, -3], [40_000]])
def test_thresholds_that_are_none_say_nothing(door, broken):
    Profile.objects.filter(name="device").update(warn_days=broken)
    watch(before_end(door, hours=1))
    assert warnings() == []


@pytest.mark.parametrize("minutes", [10, 60, 8 * 60, 1440, 7 * 1440, 30 * 1440])
def test_nothing_ends_between_two_looks(minutes):
    lead = timedelta(minutes=minutes)
    assert how_often(lead) <= lead / 2
    assert how_often(30 * DAY) == timedelta(hours=30)


# --- Who is late --------------------------------------------------------------------------------------


def test_a_certificate_of_a_month_is_told_when_it_is_late_and_not_at_its_birth(ca, now):
    door = registered("door", now)
    issue(door, now)
    watch(now + SECOND)
    watch(before_end(door, 7))
    assert warnings() == []
    watch(before_end(door, 5))
    assert warnings() == [("door", 7)]


def test_a_certificate_of_a_day_is_told_when_it_is_late(ca, now):
    Profile.objects.filter(name="device").update(lifetime_seconds=86400)
    door = registered("door", now)
    issue(door, now)
    watch(now + SECOND)
    assert warnings() == []
    watch(before_end(door, hours=8))
    assert warnings() == [("door", 1)]


def test_one_that_lives_shorter_than_its_profile_says_by_now_is_not_late_at_birth(ca, now):
    Profile.objects.filter(name="device").update(warn_days=[30, 1])
    door = registered("door", now)
    issue(door, now)
    Profile.objects.filter(name="device").update(lifetime_seconds=360 * 86400)
    watch(now + SECOND)
    assert warnings() == []
    watch(before_end(door, 1))
    assert warnings() == [("door", 1)]


def test_one_that_was_renewed_is_not_told_of(door, now):
    issue(door, now + DAY)
    first, second = Certificate.objects.filter(device=door).order_by("pk")
    watch(first.not_after - 30 * DAY)
    assert warnings() == []
    watch(second.not_after - 28 * DAY)
    assert list(ExpiryWarning.objects.exclude(certificate=None).values_list("certificate", flat=True)) == [
        second.pk
    ]


def test_a_newer_one_that_was_revoked_replaces_nothing(door, now):
    newer = issue(door, now + DAY)
    first = Certificate.objects.filter(device=door).earliest("pk")
    revocation.revoke([newer], Revocation.Reason.SUPERSEDED, TESTER, now + DAY)
    watch(first.not_after - 30 * DAY)
    assert warnings() == [("door", 30)]


def test_a_newer_one_that_ends_no_later_replaces_nothing(door, now):
    Profile.objects.filter(name="device").update(lifetime_seconds=86400)
    issue(Device.objects.get(pk=door.pk), now)
    Profile.objects.filter(name="device").update(lifetime_seconds=360 * 86400)
    first = Certificate.objects.filter(device=door).earliest("pk")
    watch(first.not_after - 30 * DAY)
    assert warnings() == [("door", 30)]


def test_the_certificate_of_another_device_replaces_nothing(door, now):
    issue(registered("lamp", now), now + 10 * DAY)
    watch(before_end(door, 30))
    assert warnings() == [("door", 30)]


def test_what_does_not_stand_is_not_told_of(door, now):
    held, retired, revoked = (registered(name, now) for name in ("held", "retired", "revoked"))
    for device in (held, retired, revoked):
        issue(device, now)
    change_state(retired, "retired", now)
    revocation.revoke([certificate_of(held)], Revocation.Reason.CERTIFICATE_HOLD, TESTER, now)
    revocation.revoke([certificate_of(revoked)], Revocation.Reason.KEY_COMPROMISE, TESTER, now)
    watch(before_end(door, 30) + SECOND)
    assert warnings() == [("door", 30)]


def test_a_suspended_device_is_told_of(door, now):
    change_state(door, "suspended", now)
    watch(before_end(door, 30))
    assert warnings() == [("door", 30)]


@pytest.mark.parametrize("compromised", ["issuing", "root"])
def test_what_a_compromised_issuer_signed_is_not_told_of(door, now, compromised):
    issuer = Issuer.objects.get(parent__isnull=compromised == "root")
    authorities.change_state(issuer, Issuer.State.COMPROMISED, TESTER, now)
    watch(before_end(door, 30))
    assert warnings() == []


def test_a_listeners_certificate_is_told_of_unless_it_was_renewed(ca, now):
    secure = Certificate.objects.get(listener="secure")
    listener_certificates.ensure("hello", ["localhost"], TESTER, now + 60 * DAY)
    watch(secure.not_after - 7 * DAY)
    assert list(ExpiryWarning.objects.values_list("certificate", "days")) == [(secure.pk, 7)]


# --- How it looks -------------------------------------------------------------------------------------


def test_those_that_come_within_a_threshold_later_are_told_later_and_once(yearly, now):
    first, second = registered("first", now), registered("second", now)
    issue(first, now)
    issue(second, now + 3 * HOUR)
    Profile.objects.filter(name="device").update(warn_days=[7])
    at = before_end(first, 7)
    watch(at)
    watch(at + 3 * HOUR)  # too soon to look again
    assert warnings() == [("first", 7)]
    watch(at + how_often(7 * DAY))
    assert warnings() == [("first", 7), ("second", 7)]


def test_after_a_long_stop_nothing_that_still_lives_was_passed_over(yearly, now):
    devices = [registered(f"door-{number}", now) for number in range(4)]
    for number, device in enumerate(devices):
        issue(device, now + number * 10 * DAY)
    watch(before_end(devices[0], 30))
    watch(before_end(devices[0]) + SECOND)
    # The first is over; the others end in 10, 20 and 30 days.
    assert sorted(warnings()) == [
        ("door-0", 1),
        ("door-0", 30),
        ("door-1", 30),
        ("door-2", 30),
        ("door-3", 30),
    ]


def test_what_ended_while_hatchery_was_away_is_told_of_once_as_what_it_is(door):
    watch(before_end(door, 40))
    back = before_end(door) + 10 * DAY
    for days in range(3):
        watch(back + days * DAY)
    assert warnings() == [("door", 1)]
    notice = told().get()
    assert notice.detail["ended"] is True
    assert notice.summary.startswith(
        "The certificate of door (device) ended and was not replaced; the first on "
    )


def test_what_ended_and_what_is_about_to_end_are_told_apart(door, now):
    issue(registered("gate", now), now + 3 * DAY)
    watch(before_end(door, 40))
    watch(before_end(door) + 2 * DAY + HOUR)
    assert [(each.detail.get("ended"), each.count) for each in told()] == [(True, 1), (None, 1)]
    assert warnings() == [("door", 1), ("gate", 1)]


def test_who_was_told_of_in_time_is_not_told_of_again_once_it_has_ended(door):
    watch(before_end(door, 1))
    watch(before_end(door) + 10 * DAY)
    assert warnings() == [("door", 1)]


def test_one_that_lived_shorter_than_its_profile_says_by_now_is_told_of_if_it_ended_meanwhile(ca, now):
    Profile.objects.filter(name="device").update(lifetime_seconds=2 * 86400, warn_days=[1])
    issue(registered("door", now), now)
    Profile.objects.filter(name="device").update(lifetime_seconds=360 * 86400)
    watch(now + SECOND)
    watch(now + 5 * DAY)
    assert warnings() == [("door", 1)]


def test_what_was_replaced_while_hatchery_was_away_is_not_told_of(door):
    watch(before_end(door, 40))
    back = before_end(door) + 10 * DAY
    issue(door, back)
    watch(back)
    assert warnings() == []


def test_a_threshold_that_comes_back_begins_anew(door):
    watch(before_end(door, 40))
    Profile.objects.filter(name="device").update(warn_days=[30])
    watch(before_end(door, 39))
    watch(before_end(door, 30))
    Profile.objects.filter(name="device").update(warn_days=[30, 1])
    watch(before_end(door) + DAY)
    assert warnings() == [("door", 30)]


# --- A clock that was wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [DAY, 200 * DAY, 10_000 * DAY, -DAY, -200 * DAY])
def test_a_look_by_a_wrong_clock_silences_nothing_and_has_nothing_told_twice(door, now, wrong):
    watch(before_end(door, 50))
    watch(before_end(door, 50) + wrong)
    for days in (30, 29, 7, 1):
        watch(before_end(door, days))
    assert ("door", 30) in warnings()
    assert ("door", 7) in warnings()
    assert len(warnings()) == len(set(warnings())) == 3


@pytest.mark.parametrize("wrong", [200 * DAY, -200 * DAY])
def test_after_a_wrong_clock_nobody_is_told_of_again(door, wrong):
    for days in (30, 7, 1):
        watch(before_end(door, days))
    watch(before_end(door) + wrong)
    watch(before_end(door) + DAY)
    assert warnings() == [("door", 30), ("door", 7), ("door", 1)]


def test_a_threshold_that_is_new_looks_at_all_that_are_within_it(door):
    watch(before_end(door, 20))
    Profile.objects.filter(name="device").update(warn_days=[30, 14, 7, 1])
    watch(before_end(door, 13))
    assert warnings() == [("door", 30), ("door", 14)]


def test_more_than_one_transaction_takes_are_all_told_of_once(yearly, now, monkeypatch):
    monkeypatch.setattr(expiry, "MOST_AT_ONCE", 2)
    devices = [registered(f"door-{number}", now) for number in range(5)]
    for device in devices:
        issue(device, now)  # some end at the same second
    watch(before_end(devices[-1], 30) + SECOND)
    assert sorted(warnings()) == [(f"door-{number}", 30) for number in range(5)]
    assert list(told().values_list("count", flat=True)) == [2, 2, 1]


def test_broken_off_in_the_middle_nothing_is_told_twice_or_left_out(yearly, now, monkeypatch):
    monkeypatch.setattr(expiry, "MOST_AT_ONCE", 2)
    devices = [registered(f"door-{number}", now) for number in range(5)]
    for device in devices:
        issue(device, now)
    at = before_end(devices[-1], 30) + SECOND
    tell, calls = notices.tell, []

    def tell_once(*args, **detail):
        if calls:
            raise KeyboardInterrupt
        calls.append(args)
        return tell(*args, **detail)

    monkeypatch.setattr(notices, "tell", tell_once)
    with pytest.raises(KeyboardInterrupt):
        watch(at)
    monkeypatch.setattr(notices, "tell", tell)
    watch(at)
    assert sorted(warnings()) == [(f"door-{number}", 30) for number in range(5)]
    assert sum(told().values_list("count", flat=True)) == 5


def test_a_mark_that_is_lost_has_nothing_told_twice(door):
    watch(before_end(door, 30))
    ExpiryMark.objects.all().delete()
    watch(before_end(door, 29))
    assert warnings() == [("door", 30)]


# --- Issuers ------------------------------------------------------------------------------------------


def issuer_warnings():
    rows = ExpiryWarning.objects.exclude(issuer=None).order_by("pk")
    return list(rows.values_list("issuer__name", "days"))


def test_an_issuer_is_told_of_at_each_of_its_thresholds(ca):
    issuing = Issuer.objects.get(parent__isnull=False)
    for days in (91, 90, 89, 30, 7, 1):
        watch(issuing.not_after - timedelta(days=days))
    assert issuer_warnings() == [(issuing.name, days) for days in (90, 30, 7, 1)]
    notice = Notice.objects.filter(kind="issuer.expiring").latest("pk")
    assert notice.detail == {
        "issuer": issuing.name,
        "days": 1,
        "not_after": moments.written(issuing.not_after),
    }


def test_of_an_issuers_thresholds_that_have_all_passed_one_is_told(ca):
    issuing = Issuer.objects.get(parent__isnull=False)
    watch(issuing.not_after - 3 * DAY)
    watch(issuing.not_after - 2 * DAY)
    assert Notice.objects.filter(kind="issuer.expiring").count() == 1
    assert Notice.objects.get(kind="issuer.expiring").detail["days"] == 7


def test_an_issuer_that_ended_while_hatchery_was_away_is_told_of_once(ca):
    issuing = Issuer.objects.get(parent__isnull=False)
    watch(issuing.not_after - 100 * DAY)
    for days in (1, 2, 500):
        watch(issuing.not_after + days * DAY)
    assert sorted(issuer_warnings(), reverse=True) == [(issuing.name, days) for days in (90, 30, 7, 1)]
    notice = Notice.objects.get(kind="issuer.expiring")
    assert notice.summary == (
        f"The issuer {issuing.name} ended on {issuing.not_after:%Y-%m-%d}; make its successor."
    )


def test_an_issuer_that_ended_long_ago_is_no_news(ca):
    issuing = Issuer.objects.get(parent__isnull=False)
    watch(issuing.not_after + 366 * DAY)
    assert issuer_warnings() == []


@pytest.mark.parametrize("state", ["retired", "compromised"])
def test_an_issuer_that_is_out_of_use_is_not_told_of(ca, now, state):
    issuing = Issuer.objects.get(parent__isnull=False)
    authorities.change_state(issuing, Issuer.State(state), TESTER, now, confirmed_name=issuing.name)
    watch(issuing.not_after - 30 * DAY)
    assert issuer_warnings() == []


# --- How many are not renewed, for who watches ----------------------------------------------------


def left(now, days):
    return expiry.not_renewed(now, days * DAY).number


def test_those_that_were_told_of_and_not_replaced_are_counted_once(door):
    for days, seven, thirty in ((31, 0, 0), (20, 0, 1), (5, 1, 1), (0.5, 1, 1), (-1, 0, 0)):
        now = before_end(door, days)
        watch(now)
        assert (left(now, 7), left(now, 30)) == (seven, thirty), days


@pytest.mark.parametrize("why", ["renewed", "revoked", "retired"])
def test_what_is_over_or_replaced_is_not_counted(door, now, why):
    soon = before_end(door, 5)
    watch(soon)
    assert left(soon, 7) == 1
    if why == "renewed":
        issue(door, soon)
    elif why == "revoked":
        revocation.revoke([certificate_of(door)], Revocation.Reason.SUPERSEDED, TESTER, soon)
    else:
        change_state(door, Device.State.RETIRED, soon)
    assert left(soon, 7) == 0


def test_a_certificate_that_is_young_is_not_counted_however_short_it_lives(ca, now):
    """One of a day ends within a week from its birth on."""
    Profile.objects.filter(name="device").update(lifetime_seconds=86400, warn_days=[30, 7, 1])
    issue(registered("door", now), now)
    watch(now)
    assert left(now, 7) == 0
