"""Who guesses passwords is locked out, told until when, and put on record; and nobody else is."""

import re
from datetime import timedelta

import pytest
import time_machine
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.urls import reverse

from pki.models import AuditEvent
from pki.services.people import lockout
from tests.console.browser import changelist
from tests.console.conftest import browser, staff
from tests.services.cast import TESTER

HERE, THERE = "192.0.2.7", "198.51.100.9"
LIMIT, OF_ADDRESS = settings.PORTAL_LOGIN_FAILURES, settings.PORTAL_LOGIN_FAILURES_OF_ADDRESS
COOL_OFF = timedelta(seconds=settings.PORTAL_LOCKOUT_SECONDS)


def try_to_log_in(stranger, password, name="admin", address=HERE):
    return stranger.client.post(
        reverse("admin:login"), {"username": name, "password": password}, secure=True, REMOTE_ADDR=address
    )


def fail(stranger, times, **given):
    return [try_to_log_in(stranger, f"wrong-{number}", **given) for number in range(times)][-1]


def is_in(response):
    return response.status_code == 302


def kinds(*wanted):
    return list(AuditEvent.objects.filter(kind__in=wanted).order_by("pk").values_list("kind", flat=True))


def test_the_right_password_lets_in_until_one_failure_too_many(stranger):
    assert fail(stranger, LIMIT - 1).status_code == 200
    assert is_in(try_to_log_in(stranger, "a-password"))


def test_after_the_last_failure_the_right_password_does_not_let_in_and_when_is_told(stranger, now):
    told = fail(stranger, LIMIT)
    assert told.status_code == 429
    assert "Too many wrong passwords" in told.content.decode()
    assert re.search(r"<time datetime=", told.content.decode())
    assert 0 < int(told["Retry-After"]) <= COOL_OFF.total_seconds() + 1
    assert try_to_log_in(stranger, "a-password").status_code == 429
    assert "_auth_user_id" not in stranger.client.session


def test_a_lockout_ends_by_itself_and_knocking_does_not_prolong_it(stranger, now):
    with time_machine.travel(now, tick=False) as clock:
        fail(stranger, LIMIT)
        clock.shift(COOL_OFF - timedelta(seconds=1))
        assert try_to_log_in(stranger, "a-password").status_code == 429
        clock.shift(timedelta(seconds=2))
        assert is_in(try_to_log_in(stranger, "a-password"))


@pytest.mark.parametrize("ahead", [timedelta(days=1), timedelta(days=3650)])
def test_a_clock_that_was_ahead_locks_nobody_out_once_it_is_right(stranger, now, ahead):
    with time_machine.travel(now + ahead, tick=False) as clock:
        assert fail(stranger, LIMIT).status_code == 429
        clock.shift(-ahead)
        assert is_in(try_to_log_in(stranger, "a-password"))
        assert fail(stranger, LIMIT).status_code == 429
        clock.shift(-COOL_OFF)
        assert try_to_log_in(stranger, "a-password").status_code == 429, "a little is no reason to let in"


def test_an_attacker_locks_out_nobody_who_sits_elsewhere(stranger):
    fail(stranger, LIMIT)
    assert is_in(try_to_log_in(stranger, "a-password", address=THERE))


def test_a_header_does_not_make_another_address(stranger):
    for number in range(LIMIT):
        told = stranger.client.post(
            reverse("admin:login"),
            {"username": "admin", "password": "wrong"},
            secure=True,
            REMOTE_ADDR=HERE,
            HTTP_X_FORWARDED_FOR=f"203.0.113.{number}",
            HTTP_USER_AGENT=f"browser {number}",
        )
    assert told.status_code == 429


def test_neighbours_in_one_ipv6_network_are_one_visitor(stranger):
    for number in range(LIMIT):
        told = try_to_log_in(stranger, "wrong", address=f"2001:db8::{number + 1:x}")
    assert told.status_code == 429
    assert is_in(try_to_log_in(stranger, "a-password", address="2001:db8:0:1::1"))


def test_many_names_from_one_address_lock_the_address(stranger):
    for number in range(OF_ADDRESS):
        told = try_to_log_in(stranger, "wrong", name=f"name-{number}")
    assert told.status_code == 429
    assert try_to_log_in(stranger, "a-password").status_code == 429
    assert is_in(try_to_log_in(stranger, "a-password", address=THERE))


def test_a_login_of_ones_own_buys_no_more_guesses_at_others(stranger):
    bob = staff("bob")
    bob.set_password("his-password")
    bob.save()
    for _ in range(LIMIT - 1):
        try_to_log_in(stranger, "wrong")
        assert is_in(try_to_log_in(stranger, "his-password", name="bob"))
    assert try_to_log_in(stranger, "wrong").status_code == 429


def test_a_login_makes_ones_own_failures_forgotten(stranger):
    for _ in range(2):
        fail(stranger, LIMIT - 1)
        assert is_in(try_to_log_in(stranger, "a-password"))


def test_a_name_that_is_none_is_answered_like_one_that_is(stranger):
    def shown(response):
        text = re.sub(
            r'(csrfmiddlewaretoken" value|datetime)="[^"]*"|[0-9: -]+UTC', "", response.content.decode()
        )
        return response.status_code, text.replace("nimda", "admin")

    known, unknown = (
        [shown(try_to_log_in(stranger, "wrong", name=name)) for _ in range(LIMIT + 1)]
        for name in ("admin", "nimda")
    )
    assert known == unknown


def test_a_name_that_is_none_costs_as_many_hashes_as_one_that_is(stranger, settings, monkeypatch):
    """What takes the time is the hash: without it, the clock would tell which names there are."""
    from django.contrib.auth.hashers import MD5PasswordHasher

    hashed = []
    encode = MD5PasswordHasher.encode
    monkeypatch.setattr(
        MD5PasswordHasher, "encode", lambda *args, **more: hashed.append(1) or encode(*args, **more)
    )
    counts = []
    for name in ("admin", "nobody"):
        hashed.clear()
        try_to_log_in(stranger, "wrong", name=name)
        counts.append(len(hashed))
    assert counts == [1, 1]


def test_names_of_any_length_and_kind_are_answered(stranger):
    for name in ("x" * 10_000, "\u202e", "a\0b", "' OR 1=1 --", ""):
        assert try_to_log_in(stranger, "wrong", name=name).status_code == 200, name


def test_each_failure_the_lockout_the_login_and_the_logout_are_on_record(stranger):
    fail(stranger, LIMIT)
    try_to_log_in(stranger, "wrong")
    try_to_log_in(stranger, "a-password", address=THERE)
    stranger.post(reverse("admin:logout"))
    wanted = ("login.failed", "login.locked", "login.succeeded", "logout")
    assert kinds(*wanted) == ["login.failed"] * LIMIT + list(wanted[1:])
    failed = AuditEvent.objects.filter(kind="login.failed").first()
    assert (failed.actor, failed.address, failed.detail["name"]) == ("anonymous", HERE, "admin")
    came = AuditEvent.objects.get(kind="login.succeeded")
    assert (came.actor, came.address) == ("administrator:admin", THERE)


def test_what_was_typed_is_kept_nowhere(stranger):
    """A password that was typed into the field for the name is a password nevertheless."""
    try_to_log_in(stranger, "typed-as-password", name="typed-as-name")
    kept = str(list(AuditEvent.objects.values())) + str(list(AccessAttempt.objects.values()))
    assert AccessAttempt.objects.exists()
    assert "typed-as" not in kept


def test_an_operator_lifts_a_lockout_from_the_shell(stranger, capsys):
    fail(stranger, LIMIT)
    call_command("unlock", "--user", "somebody-else")
    call_command("unlock", "--address", THERE)
    assert "Nobody was locked out" in capsys.readouterr().out
    assert try_to_log_in(stranger, "a-password").status_code == 429
    call_command("unlock", "--user", "admin")
    assert is_in(try_to_log_in(stranger, "a-password"))
    assert AuditEvent.objects.filter(kind="login.unlocked").count() == 3


def test_an_address_and_everybody_are_unlocked_too(stranger, now):
    fail(stranger, LIMIT)
    assert lockout.release(TESTER, now, address=HERE) == 1
    fail(stranger, LIMIT)
    call_command("unlock")
    assert is_in(try_to_log_in(stranger, "a-password"))
    with pytest.raises(CommandError, match="not an IP address"):
        call_command("unlock", "--address", "here")


def test_the_lockouts_own_tables_are_no_pages_of_the_console(ada):
    assert "axes" not in ada.get(reverse("admin:index")).content.decode()
    assert ada.get("/admin/axes/accessattempt/").status_code == 404


def test_who_left_is_answered_like_who_never_was(stranger):
    User.objects.filter(username="admin").update(is_active=False)
    assert try_to_log_in(stranger, "a-password").status_code == 200
    assert "_auth_user_id" not in stranger.client.session


def test_who_is_no_staff_is_not_let_in(stranger):
    User.objects.create_user("walt", password="his-password")
    assert try_to_log_in(stranger, "his-password", name="walt").status_code == 200
    assert stranger.get(changelist(Group)).status_code == 302
    assert browser(User.objects.get(username="walt")).get(changelist(Group)).status_code == 302
