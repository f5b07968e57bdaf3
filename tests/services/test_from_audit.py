"""What happened is told once, together with what is like it, and nothing is left out."""

from datetime import timedelta
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import connection

from pki import migrations
from pki.models import AuditEvent, Delivery, Issuer, Notice, NoticeMark, Revocation
from pki.services import audit
from pki.services.audit import HATCHERY
from pki.services.enrolling import tokens
from pki.services.issuing import authorities
from pki.services.looking.tallies import SETTLED
from pki.services.renewing import refusals, renewal
from pki.services.renewing.refusals import RefusedRenewalLog
from pki.services.revoking import revocation
from pki.services.telling import from_audit, moments, notices, webhooks
from pki.services.telling.from_audit import REFUSALS_APART, read
from tests.services.cast import ADDRESS, DAY, SECOND, TESTER, Gadget, at_once, issue, registered
from tests.services.renewing_cast import Fielded

LATER = SETTLED + SECOND
COMPROMISE, SUPERSEDED = Revocation.Reason.KEY_COMPROMISE, Revocation.Reason.SUPERSEDED


@pytest.fixture
def begun(ca, now):
    """All that there is was read."""
    read(now + LATER)
    Notice.objects.all().delete()
    return now + LATER


def revoked(number, reason, now, actor=TESTER, name="door"):
    certificates = [issue(registered(f"{name}-{each}", now), now) for each in range(number)]
    revocation.revoke(certificates, reason, actor, now)


def refused(now, **options):
    with pytest.raises(tokens.TokenInvalid):
        Gadget(**options).enroll("hatch_wrong", now)


def renewal_refused(now, name="lamp"):
    device = Fielded.enrolled(name, now)
    with pytest.raises(renewal.SameKeyRefused):
        device.renew(device.csr, now)


@pytest.fixture
def _nothing_is_folded(monkeypatch):
    """Into what another test noted."""
    monkeypatch.setattr(refusals, "REFUSED_RENEWALS", RefusedRenewalLog())


def told():
    return list(Notice.objects.order_by("pk").values_list("kind", "count"))


def test_revocations_are_told_together_by_their_reasons(begun):
    revoked(3, COMPROMISE, begun)
    revoked(1, SUPERSEDED, begun, name="gate")
    assert read(begun + LATER) == 2
    both = {each.detail["reason"]: each for each in Notice.objects.filter(kind="certificate.revoked")}
    assert both[COMPROMISE].count == 3
    assert both[COMPROMISE].detail["names"] == ["door-0", "door-1", "door-2"]
    assert both[COMPROMISE].detail["actors"] == [TESTER.name]
    assert "3 certificates were revoked (keyCompromise)" in both[COMPROMISE].summary
    assert both[SUPERSEDED].summary == "The certificate of gate-0 was revoked (superseded)."


def test_of_many_fifty_are_named(begun):
    revoked(60, COMPROMISE, begun)
    read(begun + LATER)
    notice = Notice.objects.get()
    assert (notice.count, len(notice.detail["names"])) == (60, 50)


def test_what_is_superseded_by_a_profiles_rule_is_no_news(begun):
    revoked(2, SUPERSEDED, begun, HATCHERY)
    assert read(begun + LATER) == 0
    revoked(2, COMPROMISE, begun, HATCHERY, name="gate")
    assert read(begun + 2 * LATER) == 1


def test_an_event_is_told_once_it_has_settled_and_not_again(begun):
    revoked(1, COMPROMISE, begun)
    assert read(begun + SETTLED - SECOND) == 0
    assert read(begun + LATER) == 1
    assert read(begun + 2 * LATER) == 0
    assert told() == [("certificate.revoked", 1)]


def test_an_event_that_is_not_settled_keeps_those_after_it_back(begun):
    revoked(1, COMPROMISE, begun + timedelta(hours=1))  # its transaction took long
    revoked(1, COMPROMISE, begun, name="gate")
    assert read(begun + LATER) == 0
    assert read(begun + timedelta(hours=1) + LATER) == 1
    assert told() == [("certificate.revoked", 2)]


def test_issuers_that_are_retired_or_compromised_are_told(begun):
    issuing, root = Issuer.objects.get(parent__isnull=False), Issuer.objects.get(parent=None)
    authorities.change_state(issuing, Issuer.State.RETIRED, TESTER, begun, confirmed_name=issuing.name)
    authorities.change_state(root, Issuer.State.COMPROMISED, TESTER, begun)
    read(begun + LATER)
    found = {each.kind: each for each in Notice.objects.all()}
    assert found["issuer.retired"].summary == f"The issuer {issuing.name} was retired."
    at = moments.written(begun)
    assert found["issuer.compromised"].detail == {
        "issuer": root.name,
        "actors": [TESTER.name],
        "first_at": at,
        "last_at": at,
    }


def test_a_campaign_that_stopped_is_told_with_its_reason(begun):
    audit.record("campaign.stopped", HATCHERY, begun, campaign="to-2027", reason="6 of 100 failed.")
    read(begun + LATER)
    notice = Notice.objects.get()
    assert notice.summary == "The campaign to-2027 stopped by itself: 6 of 100 failed."
    assert notice.detail["campaign"] == "to-2027"
    assert notice.detail["reason"] == "6 of 100 failed."


def test_a_trail_whose_end_was_missing_is_told(begun):
    audit.record("audit.cut_off", HATCHERY, begun, checkpoint=7, signed_at="2026-05-01", events=9, head="00")
    read(begun + LATER)
    notice = Notice.objects.get()
    assert notice.summary.startswith("The end of the audit trail was missing: checkpoint 7,")
    assert (notice.detail["checkpoint"], notice.detail["events"]) == (7, 9)


def test_a_notice_says_when_the_first_and_the_last_happened_whatever_their_order(begun):
    later, first, last = begun + 20 * SECOND, begun, begun + 40 * SECOND
    for number, at in enumerate((later, first, last)):
        revoked(1, COMPROMISE, at, name=f"door-{number}")
    read(begun + LATER + 60 * SECOND)
    notice = Notice.objects.get()
    assert moments.span(notice) == (first.replace(microsecond=0), last.replace(microsecond=0))
    assert notice.at == begun + LATER + 60 * SECOND


def test_other_events_are_no_news(begun):
    registered("door", begun)
    assert read(begun + LATER) == 0


# --- Refusals -----------------------------------------------------------------------------------------


def test_refusals_are_told_together_by_their_codes(begun):
    for name in ("door", "gate"):
        refused(begun, name=name)
    read(begun + LATER)
    notice = Notice.objects.get()
    assert (notice.kind, notice.count) == ("enrollment.refused", 2)
    assert notice.detail["code"] == "token_invalid"
    assert notice.detail["names"] == ["door", "gate"]
    assert notice.detail["addresses"] == [ADDRESS]
    assert notice.summary.startswith("2 enrollments were refused (token_invalid): ")


def test_whoever_knocks_all_day_is_told_of_once_an_hour(begun):
    for minute in range(0, 121, 10):
        refused(begun + timedelta(minutes=minute), name=f"door-{minute}")
        read(begun + timedelta(minutes=minute))
    read(begun + 5 * REFUSALS_APART)
    counts = list(Notice.objects.values_list("count", flat=True))
    assert len(counts) <= 4
    assert sum(counts) == 13


def test_refusals_that_wait_for_their_hour_keep_nothing_else_back(begun):
    refused(begun, name="door")
    read(begun + LATER)
    refused(begun + LATER, name="gate")
    revoked(1, COMPROMISE, begun + LATER, name="lamp")
    read(begun + 2 * LATER)
    assert told() == [("enrollment.refused", 1), ("certificate.revoked", 1)]
    read(begun + LATER + REFUSALS_APART)
    assert told()[2:] == [("enrollment.refused", 1)]


@pytest.mark.usefixtures("_nothing_is_folded")
def test_refused_renewals_do_not_wait_for_refused_enrollments_nor_the_other_way_round(begun):
    refused(begun, name="door")
    read(begun + LATER)
    renewal_refused(begun + LATER)
    assert read(begun + 2 * LATER) == 1
    assert told() == [("enrollment.refused", 1), ("renewal.refused", 1)]
    assert "(same_key_refused)" in Notice.objects.get(kind="renewal.refused").summary
    refused(begun + 2 * LATER, name="gate")
    renewal_refused(begun + 2 * LATER, "other")
    assert read(begun + 3 * LATER) == 0
    assert read(begun + LATER + REFUSALS_APART) == 1
    assert read(begun + 2 * LATER + REFUSALS_APART) == 1
    assert sorted(told()[2:]) == [("enrollment.refused", 1), ("renewal.refused", 1)]


# --- A clock that was wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [DAY, 400 * DAY, -DAY, -400 * DAY])
def test_what_a_wrong_clock_told_of_silences_no_refusals_and_nothing_is_told_twice(begun, wrong):
    refused(begun, name="door")
    read(begun + LATER)
    refused(begun + wrong, name="gate")
    read(begun + wrong + 2 * LATER)
    refused(begun + REFUSALS_APART, name="lamp")
    for minutes in (62, 63, 200):
        read(begun + timedelta(minutes=minutes))
    names = [each.detail["names"] for each in Notice.objects.order_by("pk")]
    assert sorted(name for some in names for name in some) == ["door", "gate", "lamp"]


@pytest.mark.parametrize("wrong", [DAY, 400 * DAY])
def test_an_event_of_a_clock_that_was_ahead_keeps_nothing_back(begun, wrong):
    revoked(1, COMPROMISE, begun + wrong)
    revoked(1, SUPERSEDED, begun, name="gate")
    assert read(begun + LATER) == 2
    assert read(begun + wrong + LATER) == 0


# --- Once ---------------------------------------------------------------------------------------------


def test_more_than_one_transaction_takes_are_all_told_of_once(begun, monkeypatch):
    monkeypatch.setattr(from_audit, "MOST_AT_ONCE", 4)
    revoked(5, COMPROMISE, begun)
    read(begun + LATER)
    assert sum(Notice.objects.values_list("count", flat=True)) == 5


def test_broken_off_before_the_end_nothing_was_told_and_then_all_is(begun, monkeypatch):
    webhooks.add("ops", "https://hooks.example/", [], TESTER, begun)
    revoked(2, COMPROMISE, begun)
    revoked(2, SUPERSEDED, begun, name="gate")
    tell, calls = notices.tell, []

    def tell_once(*args, **detail):
        if calls:
            raise KeyboardInterrupt
        calls.append(args)
        return tell(*args, **detail)

    monkeypatch.setattr(notices, "tell", tell_once)
    mark = NoticeMark.objects.get().event_id
    with pytest.raises(KeyboardInterrupt):
        read(begun + LATER)
    monkeypatch.setattr(notices, "tell", tell)
    assert (Notice.objects.count(), Delivery.objects.count()) == (0, 0)
    assert NoticeMark.objects.get().event_id == mark
    assert read(begun + LATER) == 2
    assert Delivery.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_several_at_once_tell_it_once(begun):
    revoked(3, COMPROMISE, begun)
    assert sum(at_once(*[lambda: read(begun + LATER)] * 4)) == 1
    assert told() == [("certificate.revoked", 3)]


def test_what_happened_before_there_were_notices_is_not_told(ca):
    NoticeMark.objects.all().delete()
    (name,) = (each.stem for each in Path(migrations.__path__[0]).glob("*_watch.py"))
    import_module(f"pki.migrations.{name}").begin_now(apps, SimpleNamespace(connection=connection))
    newest = AuditEvent.objects.latest("pk").pk
    mark = NoticeMark.objects.get()
    assert (mark.event_id, mark.refusals_event_id) == (newest, newest)


@pytest.mark.django_db
def test_refused_renewals_are_read_on_from_where_refused_enrollments_were():
    NoticeMark.objects.update_or_create(pk=1, defaults={"refusals_event_id": 7, "renewals_event_id": 0})
    (name,) = (each.stem for each in Path(migrations.__path__[0]).glob("*_marks_of_refusals.py"))
    import_module(f"pki.migrations.{name}").begin_where_it_was(apps, SimpleNamespace(connection=connection))
    assert NoticeMark.objects.get().renewals_event_id == 7
