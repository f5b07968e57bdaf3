"""What makes somebody more than they are, or opens the authority, wants a recent login."""

from datetime import timedelta

import pytest
import time_machine
from django.conf import settings
from django.contrib.auth.models import Group, User

from pki.models import AuditEvent, Profile
from tests.console.browser import add, changelist, page
from tests.console.conftest import browser
from tests.console.test_forms import profile_form
from tests.services.cast import everything

LATER = timedelta(seconds=settings.PORTAL_RECENT_LOGIN_SECONDS + 1)
NEW = {"password1": "n0w-hers!!", "password2": "n0w-hers!!"}
JOINED = {"date_joined_0": "2026-01-01", "date_joined_1": "12:00:00"}


@pytest.fixture
def stale(world, now):
    """The administrator's console, left open for a while; and somebody to change."""
    User.objects.create_user("mia", password="her-password", is_staff=True)
    with time_machine.travel(now, tick=False) as clock:
        person = browser(User.objects.get(username="admin"))
        clock.shift(LATER)
        yield person


def _mia():
    return User.objects.get(username="mia")


def _promoted():
    return {"username": "mia", "first_name": "Typed", "is_superuser": "on", "is_active": "on", **JOINED}


DEEDS = {
    "add a user": lambda: (add(User), {"username": "typed-eve", **NEW}),
    "make a superuser": lambda: (page(_mia()), _promoted()),
    "set somebody's password": lambda: (f"{changelist(User)}{_mia().pk}/password/", NEW),
    "take somebody's password away": lambda: (
        f"{changelist(User)}{_mia().pk}/password/",
        {"usable_password": "false", "unset-password": "yes"},
    ),
    "add a role": lambda: (add(Group), {"name": "typed-role"}),
    "change a role": lambda: (page(Group.objects.get(name="Viewer")), {"name": "typed-role"}),
    "delete a role": lambda: (page(Group.objects.get(name="Viewer"), "delete"), {"confirmed": "yes"}),
    "add a profile": lambda: (
        add(Profile),
        profile_form(Profile.objects.get(name="device"), name="typed-profile"),
    ),
    "open a profile": lambda: (
        page(Profile.objects.get(name="device")),
        profile_form(Profile.objects.get(name="device")),
    ),
    "change a profile": lambda: (
        page(Profile.objects.get(name="device")),
        profile_form(Profile.objects.get(name="device"), enrollment_policy="approval"),
    ),
}
of_each_deed = pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS)


def asks(response):
    return 'name="password_again"' in response.content.decode()


@of_each_deed
def test_with_an_old_login_nothing_is_changed_and_the_form_is_kept(stale, deed):
    url, filled = deed()
    before = everything()
    assert asks(stale.get(url))
    answered = stale.post(url, **filled)
    assert (answered.status_code, asks(answered)) == (200, True)
    assert everything() == before
    html = answered.content.decode()
    assert all(f'value="{value}"' in html for value in filled.values() if str(value).startswith("typed"))
    assert "n0w-hers!!" not in html


@of_each_deed
def test_a_wrong_password_changes_nothing_and_is_on_record(stale, deed):
    url, filled = deed()
    tables = ("auth.User", "auth.Group", "pki.Profile", "auth.User_groups")
    before = {table: rows for table, rows in everything().items() if table in tables}
    assert asks(stale.post(url, **filled, password_again="wrong"))
    assert {table: rows for table, rows in everything().items() if table in tables} == before
    assert AuditEvent.objects.filter(kind="login.failed").count() == 1


@of_each_deed
def test_with_the_password_it_is_done_and_proving_it_is_no_change_of_its_own(stale, deed):
    url, filled = deed()
    assert stale.post(url, **filled, password_again="a-password").status_code == 302
    event = AuditEvent.objects.latest("pk")
    assert event.kind.split(".")[0] in ("user", "group", "profile")
    assert "again" not in str(event.detail).lower()
    assert "Your password" not in str(event.detail)
    assert not asks(stale.get(add(User)))


def test_that_a_password_was_set_is_told_though_it_was_proved_first(stale):
    url, filled = DEEDS["set somebody's password"]()
    stale.post(url, **filled, password_again="a-password")
    assert _mia().check_password("n0w-hers!!")
    assert AuditEvent.objects.get(kind="user.changed").detail["fields"] == ["password"]


def test_guessing_there_locks_out(stale):
    url, filled = DEEDS["make a superuser"]()
    codes = [
        stale.post(url, **filled, password_again=f"wrong-{number}").status_code
        for number in range(settings.PORTAL_LOGIN_FAILURES)
    ]
    assert codes == [200] * (settings.PORTAL_LOGIN_FAILURES - 1) + [429]
    assert stale.post(url, **filled, password_again="a-password").status_code == 429
    assert not _mia().is_superuser


def test_who_may_only_look_is_asked_for_nothing(world, now):
    auditor = User.objects.create_user("otto", is_staff=True)
    auditor.groups.set(Group.objects.filter(name="Auditor"))
    with time_machine.travel(now, tick=False) as clock:
        person = browser(auditor)
        clock.shift(LATER)
        for row in (_admin(), Group.objects.first(), world.profile):
            shown = person.get(page(row))
            assert (shown.status_code, asks(shown)) == (200, False)
            assert "I know that it signs" not in shown.content.decode()


def _admin():
    return User.objects.get(username="admin")


# --- Opening a profile ------------------------------------------------------------------------------


@pytest.mark.parametrize("knows", ["", "false"])
def test_a_profile_does_not_become_open_before_one_says_that_one_knows(ada, world, knows):
    filled = {**profile_form(world.profile), "knows_open": knows}
    for url, name in ((page(world.profile), "device"), (add(Profile), "another")):
        before = everything()
        answered = ada.post(url, **{**filled, "name": name})
        assert set(answered.context["adminform"].form.errors) == {"knows_open"}
        assert "signs for anybody" in answered.content.decode()
        assert everything() == before


def test_a_profile_that_is_open_is_changed_without_saying_it_again(ada, world):
    Profile.objects.filter(pk=world.profile.pk).update(enrollment_policy="open")
    filled = profile_form(world.profile, key_kinds=["Ed25519"])
    del filled["knows_open"]
    assert ada.post(page(world.profile), **filled).status_code == 302
    event = AuditEvent.objects.filter(kind="profile.saved").latest("pk")
    assert "knows_open" not in event.detail["changed"]
    world.profile.refresh_from_db()
    assert world.profile.key_kinds == ["Ed25519"]


def test_saying_that_one_knows_is_not_recorded_as_a_change(ada, world):
    ada.post(page(world.profile), **profile_form(world.profile))
    assert "knows_open" not in AuditEvent.objects.get(kind="profile.saved").detail["changed"]
