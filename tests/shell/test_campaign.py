"""`manage.py campaign`: all that the console does with campaigns."""

import re
import shlex

import pytest

from pki.management.commands.campaign import DEEDS
from pki.models import AuditEvent, Campaign
from pki.services.rotating import campaigns, members
from tests.services.campaigns.cast import Fleet, Member, State, new_issuer, old_issuer, states
from tests.services.cast import TESTER, everything
from tests.shell.words import fails, prints

AT_ONCE = ("--canary", "0", "--window", "0")


@pytest.fixture
def fleet(ca, now):
    fleet = Fleet.of(3, now)
    new_issuer(now)
    return fleet


def drafted(name="spring", *more):
    return prints("campaign", "draft", name, "--issuer", old_issuer().name, "--to", "Next CA", *more)


def test_a_campaign_is_led_from_its_draft_to_its_end(fleet):
    assert "3 devices" in drafted("spring", *AT_ONCE)
    assert "spring: draft, to Next CA" in prints("campaign", "list")
    assert "open" in prints("campaign", "start", "spring")
    prints("campaign", "step")
    fleet.pass_time(minutes=1)
    fleet.obey()
    campaigns.step(fleet.now)
    shown = prints("campaign", "show", "spring")
    assert "finished" in shown
    assert "3 of 3 moved (100 %)" in shown
    started = AuditEvent.objects.get(kind="campaign.started")
    assert started.actor.startswith("shell")


def test_the_line_that_starts_it_is_one_for_a_shell(fleet):
    name = "$(touch x)'; y"
    line = re.search(r"Start it with: python manage.py (.*)", drafted(name))[1]
    assert shlex.split(line) == ["campaign", "start", name]
    assert "'$(touch x)'" in line


def test_what_came_back_is_not_said_to_have_moved(fleet):
    drafted("spring", *AT_ONCE)
    prints("campaign", "start", "spring")
    prints("campaign", "step")
    fleet.pass_time(minutes=1)
    fleet.move("door-0")
    campaigns.roll_back(Campaign.objects.get(), TESTER, fleet.now)
    shown = prints("campaign", "show", "spring")
    assert "being turned round" in shown
    assert "moved back" not in shown
    fleet.step(minutes=1)
    fleet.obey()
    fleet.step(minutes=1)
    assert "1 of 1 moved back (100 %)" in prints("campaign", "show", "spring")


def test_what_is_said_of_it_is_what_is_drafted(fleet):
    drafted("slow", "--canary", "10", "--watch", "2h", "--window", "14d", "--failures", "3")
    campaign = Campaign.objects.get()
    assert (campaign.canary_percent, campaign.canary_seconds) == (10, 7_200)
    assert (campaign.window_seconds, campaign.failures_percent) == (14 * 86_400, 3)


def test_keys_of_before_a_day_are_rotated_without_a_target(fleet):
    prints("campaign", "draft", "keys", "--keys-before", "2999-01-01", *AT_ONCE)
    campaign = Campaign.objects.get()
    assert (campaign.kind, campaign.to_issuer) == (Campaign.Kind.KEY, None)
    assert campaign.keys_before.isoformat() == "2999-01-01T00:00:00+00:00"


def test_laggards_are_named_with_why(fleet):
    drafted("spring", *AT_ONCE)
    prints("campaign", "start", "spring")
    prints("campaign", "step")
    failed = fleet.shown["door-1"].device
    members.failed(failed, "key_refused", "This profile allows P-384.", fleet.now)
    shown = prints("campaign", "show", "spring")
    assert "door-1: failed (key_refused): This profile allows P-384." in shown
    assert "door-0: asked" in shown
    assert set(states(Campaign.objects.get()).values()) == {Member.ASKED, Member.FAILED}


def test_every_deed_of_the_console_is_a_word(fleet):
    drafted("spring", "--canary", "5")
    for word, state in (
        ("start", State.CANARY),
        ("open", State.OPEN),
        ("pause", State.PAUSED),
        ("go_on", State.OPEN),
        ("roll_back", State.ROLLING_BACK),
        ("finish", State.ROLLED_BACK),
    ):
        assert prints("campaign", word, "spring") == f"spring: {state}.\n"
    drafted("other")
    assert "cancelled" in prints("campaign", "cancel", "other")
    assert {deed.__name__ for deed, _ in DEEDS.values()} == set(campaigns.ALLOWED)


REFUSED = {
    "an unknown campaign": (("start", "nowhere"), "nowhere"),
    "an unknown issuer": (("draft", "a", "--issuer", "Nobody CA"), "Nobody CA"),
    "an unknown group": (("draft", "a", "--group", "nowhere"), "nowhere"),
    "an unknown label": (("draft", "a", "--label", "nothing"), "nothing"),
    "no condition": (("draft", "a"), "Say which devices"),
    "no date": (("draft", "a", "--keys-before", "May"), "no date"),
    "no time": (("draft", "a", "--window", "long"), "no time"),
    "a deed that its state does not allow": (("pause", "spring"), "draft"),
}


@pytest.mark.parametrize(("words", "says"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_done_is_one_line_and_changes_nothing(fleet, words, says):
    drafted()
    before = everything()
    assert says in fails("campaign", *words)
    assert everything() == before
