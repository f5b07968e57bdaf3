"""Changing one's own password: guessed at no more than at the login, and on record."""

import pytest
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth.models import User
from django.urls import reverse

from pki.admin.parts import sentences
from pki.models import AuditEvent
from tests.console.conftest import browser

NEW = "another-one-2026!"


def change(person, old, new=NEW, again=None):
    return person.post(
        reverse("admin:password_change"),
        old_password=old,
        new_password1=new,
        new_password2=new if again is None else again,
    )


def works(password):
    return User.objects.get(username="admin").check_password(password)


def test_it_is_changed_on_record_and_this_session_goes_on(ada):
    other = browser(User.objects.get(username="admin"))
    answered = change(ada, "a-password")
    assert (answered.status_code, answered["Location"]) == (302, reverse("admin:password_change_done"))
    assert works(NEW)
    assert ada.get(answered["Location"]).status_code == 200
    assert other.get(reverse("admin:index")).status_code == 302, "other sessions of theirs end"
    event = AuditEvent.objects.get(kind="password.changed")
    assert (event.actor, event.address) == ("administrator:admin", "127.0.0.1")
    assert sentences.told(event) == "Own password changed: admin"
    kept = str(list(AuditEvent.objects.values()))
    assert NEW not in kept
    assert "a-password" not in kept


@pytest.mark.parametrize(
    ("old", "new", "again", "field"),
    [
        ("wrong", NEW, NEW, "old_password"),
        ("", NEW, NEW, "old_password"),
        ("a-password", NEW, NEW + "x", "new_password2"),
        ("a-password", "12345678", "12345678", "new_password2"),
    ],
)
def test_what_does_not_fit_is_told_and_changes_nothing(ada, old, new, again, field):
    answered = change(ada, old, new, again)
    assert answered.status_code == 200
    assert field in answered.context["form"].errors
    assert works("a-password")
    assert not AuditEvent.objects.filter(kind="password.changed").exists()
    assert not any(typed in answered.content.decode() for typed in (NEW, "a-password", "12345678"))


def test_guessing_the_old_one_locks_out_and_is_on_record(ada, stranger):
    codes = [change(ada, f"wrong-{number}").status_code for number in range(settings.PORTAL_LOGIN_FAILURES)]
    assert codes == [200] * (settings.PORTAL_LOGIN_FAILURES - 1) + [429]
    assert change(ada, "a-password").status_code == 429, "the right one does not help any more"
    assert works("a-password")
    failed = AuditEvent.objects.filter(kind="login.failed")
    assert failed.count() == settings.PORTAL_LOGIN_FAILURES
    assert failed[0].detail["asked_again"] is True
    assert AuditEvent.objects.filter(kind="login.locked").count() == 1
    entered = stranger.post(reverse("admin:login"), username="admin", password="a-password")
    assert entered.status_code == 429
    assert "wrong-" not in str(list(AccessAttempt.objects.values()))


def test_a_stranger_changes_nothing_and_a_get_neither(stranger, ada):
    assert change(stranger, "a-password").status_code == 302
    query = {"old_password": "a-password", "new_password1": NEW, "new_password2": NEW}
    assert ada.get(reverse("admin:password_change"), **query).status_code == 200
    assert works("a-password")
