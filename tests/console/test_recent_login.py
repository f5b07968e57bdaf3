"""What destroys something wants a recent login, or the password again; tried on login keys."""

from datetime import timedelta

import pytest
import time_machine
from django.conf import settings
from django.contrib.auth.models import User

from pki.models import AuditEvent, LoginKey
from tests.console.browser import changelist
from tests.console.conftest import browser
from tests.services.cast import everything

RECENT = timedelta(seconds=settings.PORTAL_RECENT_LOGIN_SECONDS)
LATER = RECENT + timedelta(seconds=1)


@pytest.fixture
def clock(now):
    with time_machine.travel(now, tick=False) as travelled:
        yield travelled


def ask(ada):
    return ada.act(LoginKey, "remove_selected", LoginKey.objects.get())


def confirm(ada, asked, **filled):
    return ada.confirm(asked, changelist(LoginKey), **filled)


def asks_for_the_password(response):
    return 'name="password_again"' in response.content.decode()


def test_a_recent_login_is_enough(world, clock):
    ada = browser(User.objects.get(username="admin"))
    clock.shift(RECENT)
    asked = ask(ada)
    assert not asks_for_the_password(asked)
    confirm(ada, asked)
    assert not LoginKey.objects.exists()


def test_an_old_login_asks_for_the_password_and_with_it_it_is_done(world, clock):
    ada = browser(User.objects.get(username="admin"))
    clock.shift(LATER)
    asked = ask(ada)
    assert asks_for_the_password(asked)
    confirm(ada, asked, password_again="a-password")
    assert not LoginKey.objects.exists()


def test_the_password_is_not_asked_again_at_once(world, clock):
    ada = browser(User.objects.get(username="admin"))
    clock.shift(LATER)
    confirm(ada, ask(ada), password_again="wrong")
    assert asks_for_the_password(ask(ada))
    key = LoginKey.objects.get()
    confirm(ada, ask(ada), password_again="a-password")
    LoginKey.objects.bulk_create([key])
    assert not asks_for_the_password(ask(ada))
    clock.shift(LATER)
    assert asks_for_the_password(ask(ada))


@pytest.mark.parametrize("given", ["", "wrong", "his-password", "a-password ", "A-PASSWORD", "a\0b"])
def test_without_the_right_password_nothing_is_done(world, clock, given):
    User.objects.create_superuser("bob", password="his-password")
    ada = browser(User.objects.get(username="admin"))
    clock.shift(LATER)
    asked = ask(ada)
    answered = confirm(ada, asked, password_again=given)
    assert answered.status_code == 200
    assert asks_for_the_password(answered)
    assert LoginKey.objects.exists()
    assert given == "" or f'value="{given}"' not in answered.content.decode()


def test_a_post_that_leaves_the_field_out_does_nothing(world, clock):
    ada = browser(User.objects.get(username="admin"))
    clock.shift(LATER)
    before = everything()
    ada.act(LoginKey, "remove_selected", LoginKey.objects.get(), confirmed="yes")
    query = {"action": "remove_selected", "_selected_action": "1", "password_again": "a-password"}
    ada.get(changelist(LoginKey), confirmed="yes", index="0", **query)
    assert everything() == before


def test_a_session_from_before_this_was_noted_is_an_old_one(world, clock):
    ada = browser(User.objects.get(username="admin"))
    session = ada.client.session
    del session["proved_at"]
    session.save()
    assert asks_for_the_password(ask(ada))


def test_a_clock_that_was_set_back_makes_no_login_recent(world, clock):
    ada = browser(User.objects.get(username="admin"))
    clock.shift(-LATER)
    assert asks_for_the_password(ask(ada))


def test_guessing_there_locks_out_as_at_the_login(world, clock):
    ada = browser(User.objects.get(username="admin"))
    clock.shift(LATER)
    asked = ask(ada)
    answers = [
        confirm(ada, asked, password_again=f"wrong-{number}").status_code
        for number in range(settings.PORTAL_LOGIN_FAILURES)
    ]
    assert answers == [200] * (settings.PORTAL_LOGIN_FAILURES - 1) + [429]
    assert confirm(ada, asked, password_again="a-password").status_code == 429
    assert LoginKey.objects.exists()
    failed = AuditEvent.objects.filter(kind="login.failed")
    assert failed.count() == settings.PORTAL_LOGIN_FAILURES
    assert failed[0].detail["asked_again"] is True
    assert AuditEvent.objects.filter(kind="login.locked").count() == 1


def test_nothing_that_was_sent_along_with_a_wrong_password_is_kept(world, clock):
    ada = browser(User.objects.get(username="admin"))
    clock.shift(LATER)
    for _ in range(2):
        confirm(ada, ask(ada), password_again="nearly-right", certificate="PRIVATE-THINGS")
    kept = str(everything())
    assert "nearly-right" not in kept
    assert "PRIVATE-THINGS" not in kept


def test_what_is_refused_after_it_was_proved_keeps_the_form_and_asks_for_no_password(world, clock):
    walt = User.objects.create_user("walt")
    ada = browser(User.objects.get(username="admin"))
    clock.shift(LATER)
    url = f"{changelist(User)}{walt.pk}/add-login-key/"
    typed = {"certificate": world.certificate.fingerprint, "name": "typed-name"}
    refused = ada.confirm(ada.get(url), url, **typed, password_again="a-password")
    html = refused.content.decode()
    assert refused.status_code == 200
    assert "Only staff can log into the console." in html
    assert "typed-name" in html
    assert world.certificate.fingerprint in html
    assert not asks_for_the_password(refused)
    assert not walt.login_keys.exists()
    User.objects.filter(pk=walt.pk).update(is_staff=True)
    assert ada.confirm(refused, url, **typed).status_code == 302
    assert walt.login_keys.get().name == "typed-name"
