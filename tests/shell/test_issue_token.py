"""`manage.py issue_token` prints a token that works, and nothing else."""

from datetime import timedelta

import pytest

from pki.models import Device, EnrollmentToken, Profile
from pki.services.enrolling import tokens
from pki.services.fleet import devices
from tests.services.cast import Gadget, everything, registered
from tests.shell.words import fails, prints, warns

pytestmark = pytest.mark.usefixtures("ca")


def the_token() -> EnrollmentToken:
    return EnrollmentToken.objects.get()


def life(token):
    return token.expires_at - token.created_at


def test_it_prints_only_a_token_and_the_token_enrolls_its_device(now):
    registered("door-1", now)
    printed = prints("issue_token", "--device", "door-1")
    assert printed == printed.strip() + "\n"
    assert printed.startswith(tokens.PREFIX)
    assert Gadget("door-1").enroll(printed.strip(), now).certificate.device.name == "door-1"


def test_a_device_that_is_not_on_record_is_registered_and_that_is_said_beside_the_output():
    assert "Registered the device door-1" in warns("issue_token", "--device", "door-1")
    assert Device.objects.get().profile == devices.default_profile()


def test_a_token_is_for_one_use_and_a_day_unless_told_otherwise():
    prints("issue_token", "--device", "door-1")
    assert (the_token().uses_allowed, life(the_token())) == (1, timedelta(hours=24))


def test_uses_and_life_are_as_told():
    prints("issue_token", "--device", "door-1", "--uses", "5", "--ttl", "1h")
    assert (the_token().uses_allowed, life(the_token())) == (5, timedelta(hours=1))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("1h", timedelta(hours=1)),
        ("7d", timedelta(days=7)),
        ("365d", timedelta(days=365)),
    ],
)
def test_a_life_is_written_with_its_unit(words, expected):
    prints("issue_token", "--device", "door-1", "--ttl", words)
    assert life(the_token()) == expected


def test_a_pattern_token_makes_devices(now):
    secret = prints("issue_token", "--pattern", "door-*", "--uses", "2").strip()
    for name in ("door-1", "door-2"):
        assert Gadget(name).enroll(secret, now).certificate.device.name == name


@pytest.mark.parametrize("whom", [["--device", "web-1"], ["--pattern", "web-*"]])
def test_a_new_device_gets_the_profile_that_is_named(whom):
    prints("issue_token", *whom, "--profile", "server")
    assert the_token().profile.name == "server"
    assert set(Device.objects.values_list("profile__name", flat=True)) <= {"server"}


def test_a_known_devices_token_has_the_devices_own_profile(now):
    server = Profile.objects.get(name="server")
    Device.objects.create(name="web-1", profile=server, created_at=now)
    prints("issue_token", "--device", "web-1")
    assert the_token().profile == server


def test_who_made_a_token_is_on_record():
    prints("issue_token", "--device", "door-1")
    assert the_token().created_by.startswith("shell")


WRONG = {
    "no whom": ([], "--device"),
    "two whoms": (["--device", "door-1", "--pattern", "door-*"], "not allowed with"),
    "a bad name": (["--device", "door 1"], "device name"),
    "an empty name": (["--device", ""], "device name"),
    "a bad pattern": (["--pattern", "door [1-9]"], "pattern"),
    "an empty pattern": (["--pattern", ""], "pattern"),
    "no uses": (["--device", "door-1", "--uses", "0"], "uses"),
    "uses that are no number": (["--device", "door-1", "--uses", "many"], "--uses"),
    "a life without a unit": (["--device", "door-1", "--ttl", "60"], "--ttl"),
    "a life of nothing": (["--device", "door-1", "--ttl", "0h"], "--ttl"),
    "a life of more than a year": (["--device", "door-1", "--ttl", "366d"], "365 days"),
    "a life beyond all calendars": (["--device", "door-1", "--ttl", "999999d"], "365 days"),
    "a profile that there is not": (["--device", "door-1", "--profile", "nonsense"], "'nonsense'"),
}


@pytest.mark.parametrize(("words", "named"), WRONG.values(), ids=WRONG)
def test_what_makes_no_sense_is_refused_in_one_sentence_and_leaves_nothing(words, named):
    before = everything()
    assert named in fails("issue_token", *words)
    assert everything() == before


def test_a_known_device_is_not_given_another_profile(now):
    registered("door-1", now)
    assert "server" in fails("issue_token", "--device", "door-1", "--profile", "server")
    assert not EnrollmentToken.objects.exists()


def test_without_the_default_profile_it_says_what_to_run():
    Profile.objects.filter(name="device").update(name="renamed")
    assert "bootstrap" in fails("issue_token", "--device", "door-1")
