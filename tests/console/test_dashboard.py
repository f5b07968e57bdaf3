"""The dashboard: the true numbers, each with a link that works, and only what this user may see."""

import re
from datetime import timedelta
from html import unescape

import pytest
import time_machine
from django.contrib.auth.models import Group, User
from django.urls import reverse

from pki.models import Certificate, EnrollmentRequest, Issuer, Profile, Revocation, TaskRun, Webhook
from pki.services import counting
from pki.services.issuing import bootstrap
from pki.services.looking import overview
from pki.services.revoking import revocation
from tests.console.conftest import browser, staff
from tests.services.cast import DAY, TESTER, issue, registered, set_policy
from tests.upkeep import given_up

DASHBOARD = reverse("admin:index")


@pytest.fixture(autouse=True)
def _somebody_is_told(settings):
    """Else that nobody is told would be one more warning in each of these tests."""
    settings.PORTAL_MAIL_IS_SET_UP = True


def text_of(response):
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode())))


def links_of(response):
    main = response.content.decode().partition('id="main"')[2] or response.content.decode()
    return [link for link in re.findall(r'href="([^"]+)"', unescape(main)) if link.startswith("/admin/pki/")]


def test_the_numbers_are_the_true_ones(ada, world):
    context = ada.get(DASHBOARD).context
    assert {state: number for state, number, _ in context["devices"]} == {
        "active": 3,
        "suspended": 1,
        "retired": 1,
    }
    charts = {chart.title: chart.total for chart in context["charts"]}
    assert (
        charts
        == {
            "Enrollments": 2,  # the door's first was 60 days ago
            "Renewals": 2,
            "Revocations": 1,
            "Enrollments refused": 1,
            "Handshakes refused": 0,
        }
        or charts["Enrollments"] + charts["Renewals"] == 4
    )
    assert context["waiting"].number == 2
    assert {request.name for request in context["waiting_latest"]} == {"sensor-1", "sensor-2"}


def test_every_link_of_the_dashboard_answers(ada, world):
    set_policy(Profile.Policy.OPEN)
    links = links_of(ada.get(DASHBOARD))
    assert len(links) > 15
    for link in links:
        assert ada.get(link).status_code == 200, link


def test_certificates_that_expire_are_counted_by_when(ca, now):
    device = registered("door-1", now)
    day_profile = Profile.objects.get(name="device")
    for hours, copies in ((12, 1), (3 * 24, 2), (20 * 24, 3), (60 * 24, 4)):
        day_profile.lifetime_seconds = hours * 3600
        day_profile.save()
        device.profile = day_profile
        for _ in range(copies):
            issue(device, now)
    gone = issue(device, now)
    revocation.revoke([gone], Revocation.Reason.SUPERSEDED, TESTER, now)
    found = {name: bounded.number for name, bounded in overview.expiring(now).items()}
    assert found == {"24h": 1, "7d": 3, "30d": 6}
    later = {name: bounded.number for name, bounded in overview.expiring(now + DAY).items()}
    assert later["24h"] == 0, "what has ended does not end soon"


def test_of_very_many_it_is_said_that_there_are_very_many(monkeypatch):
    monkeypatch.setattr(counting, "MOST_COUNTED", 10)
    assert str(counting.Bounded(10)) == "10"
    assert str(counting.Bounded(11)) == "10+"


def test_no_device_yet_says_what_to_do(ada):
    page = text_of(ada.get(DASHBOARD))
    assert "No device yet" in page
    assert "Register a device" in page


def test_an_open_profile_is_a_warning_that_leads_to_it(ada):
    assert not ada.get(DASHBOARD).context["warnings"]
    set_policy(Profile.Policy.OPEN)
    (warning,) = ada.get(DASHBOARD).context["warnings"]
    assert warning.level == "danger"
    assert "signs for anybody" in warning.sentence
    assert "device" in ada.get(warning.link).content.decode()


def test_an_issuer_near_its_end_is_a_warning(ca, now):
    issuer = Issuer.objects.get(parent__isnull=False)
    ends = issuer.not_after
    assert not any(life.near_end for life in overview.issuers(now))
    near = {life.issuer.name: life for life in overview.issuers(ends - timedelta(days=80))}[issuer.name]
    assert (near.near_end, near.days_left) == (True, 80)
    over = {life.issuer.name: life for life in overview.issuers(ends + 2 * DAY)}[issuer.name]
    assert (over.days_left, over.percent_left) == (-2, 0)


def test_a_listener_that_did_not_renew_is_a_warning(ada, now):
    assert overview.overdue_listeners(["hello", "secure", "status"], now) == []
    assert overview.overdue_listeners(["hello", "secure", "status"], now + 59 * DAY) == []
    assert overview.overdue_listeners(["hello", "secure", "status"], now + 61 * DAY) == ["hello", "secure"]
    with time_machine.travel(now + 61 * DAY, tick=False):
        admin = browser(staff("late", "view_certificate"))
        sentences = [warning.sentence for warning in admin.get(DASHBOARD).context["warnings"]]
    assert any("listener hello" in sentence for sentence in sentences)


def test_a_generated_password_in_use_is_a_warning_until_it_is_changed(ada, ca):
    file = bootstrap.password_file(ca)
    file.parent.mkdir(exist_ok=True)
    file.write_text("made-at-the-first-start\n")
    admin = User.objects.get(username="admin")
    admin.set_password("made-at-the-first-start")
    admin.save()
    admin_browser = browser(admin)
    (warning,) = admin_browser.get(DASHBOARD).context["warnings"]
    assert "password" in warning.sentence
    assert admin_browser.get(warning.link).status_code == 200
    admin.set_password("another-one-that-nobody-wrote-down")
    admin.save()
    assert not browser(admin).get(DASHBOARD).context["warnings"]


def sentences(response):
    return " ".join(warning.sentence for warning in response.context["warnings"])


def test_that_nobody_is_told_is_a_warning_until_there_is_mail_or_a_webhook(ada, settings, now):
    assert "Nobody is told" not in sentences(ada.get(DASHBOARD))
    settings.PORTAL_MAIL_IS_SET_UP = False
    (warning,) = ada.get(DASHBOARD).context["warnings"]
    assert "Nobody is told" in warning.sentence
    assert ada.get(warning.link).status_code == 200
    webhook = given_up(now - 8 * DAY).webhook
    assert "Nobody is told" not in sentences(ada.get(DASHBOARD))
    Webhook.objects.filter(pk=webhook.pk).update(enabled=False)
    assert "Nobody is told" in sentences(ada.get(DASHBOARD))


def test_notices_that_were_lost_lately_are_a_warning_that_leads_to_them(ada, now):
    given_up(now - 8 * DAY, "long ago")
    assert not ada.get(DASHBOARD).context["warnings"]
    lost = given_up(now, "today")
    (warning,) = ada.get(DASHBOARD).context["warnings"]
    assert warning.sentence.startswith("1 notice did not arrive")
    assert lost in ada.get(warning.link).context["cl"].result_list


def test_a_task_that_failed_and_that_nobody_does_any_more_is_no_warning(ada, now):
    for name, at, failed in (("full CRLs", now - timedelta(hours=1), True), ("expiry watch", now, False)):
        TaskRun.objects.create(name=name, at=at, milliseconds=3, failed=failed, said="Gone.")
    assert not ada.get(DASHBOARD).context["warnings"]


def test_maintenance_that_fails_rests_or_ran_ahead_is_a_warning(ada, now):
    run = TaskRun.objects.create(name="expiry watch", at=now, milliseconds=3, failed=False, said="0 notices")
    assert not ada.get(DASHBOARD).context["warnings"]
    TaskRun.objects.update(failed=True, said="The disk is full.")
    assert "expiry watch failed. The disk is full." in sentences(ada.get(DASHBOARD))
    TaskRun.objects.filter(pk=run.pk).update(failed=False, at=now - timedelta(hours=1))
    assert "has not run since" in sentences(ada.get(DASHBOARD))
    ahead = TaskRun.objects.create(name="tallies", at=now + DAY, milliseconds=3, failed=False, said="0")
    warned = sentences(ada.get(DASHBOARD))
    assert f"Maintenance ran at {ahead.at:%Y-%m-%d %H:%M} UTC by the clock of a node" in warned
    assert "has not run since" in warned


BEHIND = {  # permission → what its warning says
    "view_profile": "signs for anybody",
    "view_issuer": "The issuer",
    "view_certificate": "The listener",
}


@pytest.mark.parametrize("permission", ["", *BEHIND])
def test_a_warning_is_for_who_may_see_the_page_that_it_leads_to(ca, permission):
    set_policy(Profile.Policy.OPEN)
    ends = Issuer.objects.get(parent__isnull=False).not_after
    with time_machine.travel(ends - 80 * DAY, tick=False):
        person = browser(staff("somebody", permission))
        warnings = person.get(DASHBOARD).context["warnings"]
        expected = {BEHIND[permission]} if permission else set()
        assert {words for words in BEHIND.values() for each in warnings if words in each.sentence} == expected
        assert len(warnings) >= len(expected)
        assert all(person.get(warning.link).status_code == 200 for warning in warnings)
        assert bool(warnings) is bool(permission)


def test_the_sidebar_shows_what_this_user_may_see_and_where_they_are(world):
    role = staff("auditor-by-role")
    role.groups.add(Group.objects.get(name="Auditor"))
    response = browser(role).get(reverse("admin:pki_inspect"))
    entries = {
        item["title"]: item for group in response.context["sidebar_navigation"] for item in group["items"]
    }
    assert "Audit log" in entries
    assert "Issue by hand" not in entries
    assert [title for title, item in entries.items() if item["active"]] == ["What is this?"]


@pytest.mark.parametrize(
    ("permission", "there", "not_there"),
    [
        ("view_device", "devices", "issuers"),
        ("view_certificate", "expiring", "devices"),
        ("view_enrollmentrequest", "waiting", "expiring"),
        ("view_issuer", "issuers", "waiting"),
    ],
)
def test_who_may_see_one_thing_sees_that_alone(world, permission, there, not_there):
    context = browser(staff("one-thing", permission)).get(DASHBOARD).context
    assert there in context
    assert not_there not in context


def test_who_has_no_role_is_told_so(newcomer):
    assert "You have no role yet" in text_of(newcomer.get(DASHBOARD))


def test_the_audit_logs_numbers_are_for_those_who_may_read_it(world):
    role = staff("viewer-by-role")
    role.groups.add(Group.objects.get(name="Viewer"))
    titles = [chart.title for chart in browser(role).get(DASHBOARD).context["charts"]]
    assert "Handshakes refused" not in titles
    assert "Revocations" in titles


def test_the_dashboard_asks_as_few_questions_of_many_rows_as_of_few(ada, now, django_assert_max_num_queries):
    ada.get(DASHBOARD)
    device = registered("door-1", now)
    with django_assert_max_num_queries(40) as few:
        ada.get(DASHBOARD)
    for number in range(30):
        issue(device, now)
        EnrollmentRequest.objects.create(
            state="waiting", name=f"sensor-{number}", spki_sha256=str(number), created_at=now, last_at=now
        )
    assert Certificate.objects.filter(device=device).count() == 30
    with django_assert_max_num_queries(len(few)):
        ada.get(DASHBOARD)
