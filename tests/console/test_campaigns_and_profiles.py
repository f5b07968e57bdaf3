"""A campaign of a whole issuer gives profiles another one: who may do that, and what is said before."""

import re
from html import unescape

import pytest
from django.contrib.auth.models import Group
from django.contrib.messages import get_messages

from pki.models import AuditEvent, Campaign, Device, Issuer, Profile
from pki.services.rotating import campaigns
from pki.services.rotating.selection import Selection
from tests.console.browser import add, changelist, page
from tests.console.conftest import browser, staff
from tests.services.campaigns.cast import (
    Fleet,
    condemn,
    drafted,
    group_of,
    new_issuer,
    old_issuer,
    started,
    under_another_root,
)
from tests.services.cast import TESTER, everything

ROLES = ("Viewer", "Operator", "CA administrator", "Auditor")
LEADS = {"Operator", "CA administrator"}
CHANGES_PROFILES = {"CA administrator"}


@pytest.fixture
def fleet(ca, now):
    return Fleet.of(4, now)


@pytest.fixture
def target(fleet, now):
    return new_issuer(now)


@pytest.fixture
def whole(fleet, target):
    """A draft of the whole issuer, as whoever likes may make it: nobody is asked before all are."""
    return drafted(fleet, Selection(from_issuer=old_issuer()), target, canary_percent=5, canary_seconds=3600)


@pytest.fixture
def part(fleet, target):
    berlin = Selection(group=group_of("door-0", "door-1"))
    return drafted(fleet, berlin, target, name="berlin", canary_percent=5)


def text_of(response):
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode())))


def of_role(role):
    user = staff(f"a-{role}")
    user.groups.add(Group.objects.get(name=role))
    return browser(user)


def said_to(response):
    return " ".join(str(each) for each in get_messages(response.wsgi_request))


def issuer_of_profile():
    return Profile.objects.get(name="device").issuer


def began(campaign, fleet):
    campaigns.start(campaign, TESTER, fleet.now)
    fleet.step()
    campaign.refresh_from_db()


def opened(campaign, fleet):
    began(campaign, fleet)
    campaigns.open_to_all(campaign, TESTER, fleet.now)
    campaign.refresh_from_db()


# Each deed that gives profiles another issuer: what leads to where it can be done, and the state after it.
SWITCHES = {
    "start": (lambda campaign, fleet: None, "canary"),
    "open_to_all": (began, "open"),
    "roll_back": (opened, "rolling back"),
    "cancel": (opened, "cancelled"),
}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("deed", SWITCHES)
def test_profiles_are_given_another_issuer_by_who_may_change_profiles(whole, fleet, deed, role):
    lead_there, after = SWITCHES[deed]
    lead_there(whole, fleet)
    person, may = of_role(role), role in CHANGES_PROFILES
    shown = person.get(page(whole))
    assert (page(whole, deed) in shown.content.decode()) is may
    before, state = issuer_of_profile(), whole.state
    answer = person.post(page(whole, deed), confirmed="yes")
    whole.refresh_from_db()
    if may:
        assert (answer.status_code, whole.state) == (302, after)
        return
    assert (issuer_of_profile(), whole.state) == (before, state)
    if role in LEADS:
        assert "only for who may change profiles as well" in said_to(answer)
        assert "only for who may change profiles as well" in text_of(shown)
    else:
        assert answer.status_code == 403


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("deed", SWITCHES)
def test_devices_alone_are_led_by_who_may_lead_campaigns(part, fleet, deed, role):
    lead_there, after = SWITCHES[deed]
    lead_there(part, fleet)
    person, may = of_role(role), role in LEADS
    assert (page(part, deed) in person.get(page(part)).content.decode()) is may
    answer = person.post(page(part, deed), confirmed="yes")
    part.refresh_from_db()
    assert answer.status_code == (302 if may else 403)
    assert (part.state == after) is may
    assert issuer_of_profile() == old_issuer()


def test_an_operator_may_stop_what_is_wrong_whoever_began_it(whole, fleet):
    opened(whole, fleet)
    person = of_role("Operator")
    assert person.post(page(whole, "pause"), confirmed="yes").status_code == 302
    whole.refresh_from_db()
    assert whole.state == "paused"


@pytest.mark.parametrize("deed", ["start", "open_to_all", "roll_back"])
def test_what_asks_a_fleet_needs_a_recent_login(ada, part, fleet, settings, deed):
    lead_there, after = SWITCHES[deed]
    lead_there(part, fleet)
    settings.PORTAL_RECENT_LOGIN_SECONDS = -1
    before = part.state
    assert "password_again" in ada.post(page(part, deed), confirmed="yes").content.decode()
    wrong = ada.post(page(part, deed), confirmed="yes", password_again="not-mine")
    assert "This is not your password." in text_of(wrong)
    part.refresh_from_db()
    assert part.state == before
    assert ada.post(page(part, deed), confirmed="yes", password_again="a-password").status_code == 302
    part.refresh_from_db()
    assert part.state == after


# --- What is said ---------------------------------------------------------------------------------


def test_which_profiles_get_another_issuer_is_said_in_the_look_and_at_the_start(ada, whole, target):
    how = {
        "canary_percent": "10",
        **{f"{span}_seconds_number": "2" for span in ("canary", "window")},
        **{f"{span}_seconds_unit": "hours" for span in ("canary", "window")},
        "failures_percent": "5",
        **dict.fromkeys(("group", "label", "keys_before"), ""),
    }
    look = ada.post(
        add(Campaign),
        **how,
        once="one",
        name="another",
        kind="issuer",
        do="look",
        from_issuer=str(old_issuer().pk),
        to_issuer=str(target.pk),
    )
    assert "if it is rolled back or cancelled: device. To start it one must be allowed" in text_of(look)
    asked = text_of(ada.get(page(whole, "start")))
    assert f"Profiles that get {target} when it opens to all, which it does by itself: device." in asked
    assert f"device: get {target} when it opens to all" in text_of(ada.get(page(whole)))


def test_a_start_without_canaries_says_that_profiles_change_now(ada, whole, target):
    Campaign.objects.update(canary_percent=0)
    assert f"Profiles that get {target} now: device." in text_of(ada.get(page(whole, "start")))
    ada.post(page(whole, "start"), confirmed="yes")
    assert issuer_of_profile() == target


def test_of_a_part_of_the_fleet_it_is_said_that_profiles_keep_their_issuer(ada, part):
    assert "Profiles They keep their issuer." in text_of(ada.get(page(part)))
    assert "Profiles that" not in text_of(ada.get(page(part, "start")))


@pytest.mark.parametrize("deed", ["roll_back", "cancel"])
def test_which_profiles_get_which_issuer_back_is_said_and_comes_true(ada, whole, fleet, target, deed):
    opened(whole, fleet)
    old = whole.from_issuer
    assert issuer_of_profile() == target
    assert f"device: have {target}. Rolled back or cancelled, {old} again: device." in text_of(
        ada.get(page(whole))
    )
    assert f"Profiles that get {old} back: device." in text_of(ada.get(page(whole, deed)))
    ada.post(page(whole, deed), confirmed="yes")
    assert issuer_of_profile() == old


@pytest.mark.parametrize("state", ["retired", "compromised"])
def test_profiles_are_said_to_keep_theirs_where_the_old_issuer_cannot_sign(ada, whole, fleet, target, state):
    opened(whole, fleet)
    condemn(whole.from_issuer, Issuer.State(state), fleet.now)
    keeps = f"{whole.from_issuer} is {state} and signs no more"
    assert f"They keep it whatever is done: {keeps}." in text_of(ada.get(page(whole)))
    assert f"Profiles that keep {target}: device. {keeps}." in text_of(ada.get(page(whole, "cancel")))
    ada.post(page(whole, "cancel"), confirmed="yes")
    assert issuer_of_profile() == target


def test_profiles_are_said_to_keep_theirs_where_the_old_issuers_root_is_lost(ada, fleet, now):
    target = under_another_root(now)
    campaign = started(fleet, Selection(from_issuer=old_issuer()), target)
    old = campaign.from_issuer
    condemn(old.parent, Issuer.State.COMPROMISED, fleet.now)
    keeps = f"{old} is below the compromised {old.parent} and signs no more"
    assert f"They keep it whatever is done: {keeps}." in text_of(ada.get(page(campaign)))
    assert f"Profiles that keep {target}: device. {keeps}." in text_of(ada.get(page(campaign, "cancel")))
    ada.post(page(campaign, "cancel"), confirmed="yes")
    assert issuer_of_profile() == target


def test_a_profile_that_somebody_changed_since_is_not_said_to_go_back(ada, whole, fleet, now):
    opened(whole, fleet)
    third = new_issuer(now, "Third CA")
    Profile.objects.filter(name="device").update(issuer=third)
    assert "Profiles that get" not in text_of(ada.get(page(whole, "cancel")))
    ada.post(page(whole, "cancel"), confirmed="yes")
    assert issuer_of_profile() == third


# --- Finishing ------------------------------------------------------------------------------------


def finish(ada, campaign, fleet):
    """What the page says before, and who is asked a minute after."""
    said = text_of(ada.get(page(campaign, "finish")))
    ada.post(page(campaign, "finish"), confirmed="yes")
    fleet.step(minutes=1)
    return said, fleet.asked()


def test_finish_says_that_who_was_asked_is_asked_still_and_so_it_is(ada, fleet, target):
    campaign = drafted(fleet, Selection(from_issuer=old_issuer()), target)
    began(campaign, fleet)
    fleet.move("door-0")
    said, asked = finish(ada, campaign, fleet)
    assert "Not moved: 3 devices." in said
    assert "Asked still, whenever they come: 3 devices." in said
    assert f"Profiles that keep {target}: device." in said
    assert asked == {"door-1", "door-2", "door-3"}
    assert issuer_of_profile() == target


def test_finish_says_that_who_was_not_asked_yet_is_not_and_so_it_is(ada, fleet, target):
    campaign = drafted(fleet, Selection(from_issuer=old_issuer()), target, window_seconds=36_000)
    began(campaign, fleet)
    said, asked = finish(ada, campaign, fleet)
    assert "Not asked yet, and not any more: 4 devices." in said
    assert asked == set()


def test_finish_in_a_pause_says_that_nobody_is_asked_and_so_it_is(ada, fleet, target):
    campaign = drafted(fleet, Selection(from_issuer=old_issuer()), target)
    began(campaign, fleet)
    campaigns.pause(campaign, TESTER, fleet.now)
    said, asked = finish(ada, campaign, fleet)
    assert "Nobody is asked any more" in said
    assert "Asked still" not in said
    assert asked == set()


def test_finish_while_it_rolls_back_says_that_they_are_asked_to_come_back_and_so_they_are(ada, fleet, target):
    campaign = drafted(fleet, Selection(from_issuer=old_issuer()), target)
    began(campaign, fleet)
    fleet.move("door-0")
    campaigns.roll_back(campaign, TESTER, fleet.now)
    fleet.step(minutes=1)
    said, asked = finish(ada, campaign, fleet)
    assert "Asked still, whenever they come: 1 device." in said
    assert asked == {"door-0"}


def test_a_roll_back_says_who_enrolled_meanwhile_and_is_not_asked(ada, fleet, whole):
    opened(whole, fleet)
    before = text_of(ada.get(page(whole, "roll_back")))
    assert "enrolled meanwhile" not in before
    fleet.live(2, obey=False)
    fleet.enroll("late")
    assert "1 device that enrolled meanwhile has a certificate of Next CA, and is not asked" in text_of(
        ada.get(page(whole, "roll_back"))
    )


# --- History --------------------------------------------------------------------------------------


def test_the_history_of_a_campaign_is_its_own_and_all_of_it(ada, whole, fleet, part):
    began(whole, fleet)
    campaigns.cancel(whole, TESTER, fleet.now)
    campaigns.start(part, TESTER, fleet.now)
    history = ada.get(page(whole, "history"))["Location"]
    shown = ada.get(history).context["cl"].result_list
    assert {event.detail["campaign"] for event in shown} == {whole.name}
    assert [event.kind for event in shown] == [
        "campaign.cancelled",
        "campaign.started",
        "campaign.drafted",
    ]


def test_a_history_of_no_campaign_is_empty(ada, whole):
    response = ada.get(changelist(AuditEvent), about="campaign-999999")
    assert response.status_code == 200
    assert not response.context["cl"].result_list


def test_nothing_was_done_by_any_of_these_pages(ada, whole, fleet):
    opened(whole, fleet)
    before = everything()
    for deed in ("pause", "roll_back", "finish", "cancel"):
        assert ada.get(page(whole, deed)).status_code == 200
    assert everything() == before
    assert Device.objects.count() == 4
