"""Campaigns in the console: a draft with a look first, deeds that say what they will do, true numbers."""

import re
from html import unescape

import pytest
from django.contrib.auth.models import Group, User
from django.contrib.messages import get_messages
from django.urls import reverse

from pki.models import (
    AuditEvent,
    Campaign,
    CampaignMember,
    Certificate,
    Device,
    DeviceGroup,
    Issuer,
    Label,
    Profile,
    Revocation,
)
from pki.services.issuing import authorities
from pki.services.revoking import revocation
from pki.services.rotating import campaigns, members
from tests.console.browser import add, changelist, page
from tests.console.conftest import browser, staff
from tests.services.cast import DAY, TESTER, everything, issue, registered

HOW = {
    "canary_percent": "10",
    "canary_seconds_number": "2",
    "canary_seconds_unit": "hours",
    "window_seconds_number": "3",
    "window_seconds_unit": "days",
    "failures_percent": "5",
}


@pytest.fixture
def fleet(ca, now):
    """Six devices with certificates, four of them in a group, one of those retired."""
    group = DeviceGroup.objects.create(name="berlin")
    for number in range(6):
        device = registered(f"door-{number}", now)
        issue(device, now)
        if number < 4:
            device.groups.add(group)
    Device.objects.filter(name="door-3").update(state="retired")
    return group


@pytest.fixture
def target(ca, now):
    return authorities.make_subordinate("Next Issuing", Issuer.objects.get(parent=None), "P-256", TESTER, now)


def form(once="one", **fields):
    """A draft as a browser sends it."""
    empty = dict.fromkeys(("to_issuer", "from_issuer", "group", "label", "keys_before"), "")
    return {"name": "to new keys", "kind": "key", "once": once, **empty, **HOW, **fields}


def of_role(role):
    user = User.objects.create_user(f"a-{role}", is_staff=True)
    user.groups.set(Group.objects.filter(name=role))
    return browser(user)


def text_of(response):
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode())))


def drafted(ada, fleet, **fields):
    ada.post(add(Campaign), **form(group=str(fleet.pk), do="keep", **fields))
    return Campaign.objects.get()


def deed(campaign, name):
    return page(campaign, name)


# --- Drafting -------------------------------------------------------------------------------------


def test_a_look_says_whom_it_reaches_and_who_is_left_out_and_keeps_nothing(ada, fleet):
    before = everything()
    response = ada.post(add(Campaign), **form(group=str(fleet.pk), do="look"))
    look = response.context["look"]
    assert (look.count, {device.name for device in look.sample}) == (3, {"door-0", "door-1", "door-2"})
    said = text_of(response)
    assert "About 1 canary is asked first, and watched for 2 hours at least" in said
    assert "asked over 3 days" in said
    assert "Devices that are retired" in said
    assert everything() == before


def test_those_whom_another_campaign_leads_are_said_to_be_left_out(ada, fleet, now):
    first = drafted(ada, fleet)
    ada.post(deed(first, "start"), confirmed="yes")
    campaigns.step(now)
    again = ada.post(add(Campaign), **form("two", group=str(fleet.pk), name="again", do="look"))
    assert "3 of these, because another campaign leads them" in text_of(again)


def test_a_draft_is_kept_as_it_was_filled_in_on_record_and_asks_nobody(ada, fleet):
    response = ada.post(add(Campaign), **form(group=str(fleet.pk), do="keep"))
    campaign = Campaign.objects.get()
    assert response["Location"] == page(campaign)
    assert (campaign.state, campaign.kind, campaign.group) == ("draft", "key", fleet)
    assert (campaign.canary_percent, campaign.failures_percent) == (10, 5)
    assert (campaign.canary_seconds, campaign.window_seconds) == (2 * 3600, 3 * 86400)
    event = AuditEvent.objects.get(kind="campaign.drafted")
    assert (event.actor, event.detail["campaign"]) == ("administrator:admin", "to new keys")
    assert not Device.objects.exclude(rotation_requested_at=None).exists()


def test_a_button_that_is_pressed_twice_keeps_one_draft_and_leads_to_it(ada, fleet):
    sent = form(group=str(fleet.pk), do="keep")
    first, second = ada.post(add(Campaign), **sent), ada.post(add(Campaign), **sent)
    campaign = Campaign.objects.get()
    assert first["Location"] == second["Location"] == page(campaign)


def test_a_campaign_to_another_issuer_names_both(ada, fleet, target):
    old = Issuer.objects.exclude(pk=target.pk).get(parent__isnull=False)
    sent = form(kind="issuer", from_issuer=str(old.pk), to_issuer=str(target.pk), do="look")
    said = text_of(ada.post(add(Campaign), **sent))
    assert f"the profiles of {old} are given the new issuer" in said
    ada.post(add(Campaign), **{**sent, "do": "keep"})
    campaign = Campaign.objects.get()
    assert (campaign.from_issuer, campaign.to_issuer) == (old, target)


def test_a_root_is_no_choice_and_is_refused_when_it_is_sent_all_the_same(ada, fleet):
    root = Issuer.objects.get(parent=None)
    assert root not in ada.get(add(Campaign)).context["form"].fields["to_issuer"].queryset
    sent = form(kind="issuer", group=str(fleet.pk), to_issuer=str(root.pk), do="keep")
    assert set(ada.post(add(Campaign), **sent).context["form"].errors) == {"to_issuer"}
    assert not Campaign.objects.exists()


def test_a_look_says_how_many_cannot_renew_and_a_selection_of_such_alone_is_not_kept(ada, fleet, now):
    gone = Certificate.objects.filter(device__name__in=("door-0", "door-1"))
    revocation.revoke(gone, Revocation.Reason.KEY_COMPROMISE, TESTER, now)
    said = text_of(ada.post(add(Campaign), **form(group=str(fleet.pk), do="look")))
    assert "2 more that cannot renew, and must enroll again" in said
    fleet.devices.remove(Device.objects.get(name="door-2"))
    for do in ("look", "keep"):
        said = text_of(ada.post(add(Campaign), **form(do, group=str(fleet.pk), do=do)))
        assert "None of the devices in this selection can renew" in said
    assert not Campaign.objects.exists()


def test_the_form_can_be_opened_with_an_issuer_chosen(ada, target):
    response = ada.get(add(Campaign), from_issuer=str(target.pk), kind="issuer")
    assert f'value="{target.pk}" selected' in response.content.decode()


BAD = {
    "no device is named": ("__all__", {}),
    "no name": ("name", {"name": " ", "group": "berlin"}),
    "a name that is too long": ("name", {"name": "x" * 65, "group": "berlin"}),
    "a kind that there is not": ("kind", {"kind": "all", "group": "berlin"}),
    "no issuer to move to": ("to_issuer", {"kind": "issuer", "group": "berlin"}),
    "an issuer that there is not": ("to_issuer", {"kind": "issuer", "to_issuer": "999", "group": "berlin"}),
    "the issuer that they have": ("to_issuer", {"kind": "issuer", "to_issuer": "old", "from_issuer": "old"}),
    "a label that nobody has": ("label", {"label": "no-such"}),
    "keys of next year": ("keys_before", {"keys_before": "2999-01-01"}),
    "keys of no day": ("keys_before", {"keys_before": "2026-02-31"}),
    "more canaries than half": ("canary_percent", {"canary_percent": "51", "group": "berlin"}),
    "fewer canaries than none": ("canary_percent", {"canary_percent": "-1", "group": "berlin"}),
    "a window in words": ("window_seconds", {"window_seconds_number": "long", "group": "berlin"}),
    "a window of years": ("window_seconds", {"window_seconds_number": "4000", "group": "berlin"}),
    "a watch of a year": ("canary_seconds", {"canary_seconds_number": "9000", "group": "berlin"}),
    "more failures than all": ("failures_percent", {"failures_percent": "101", "group": "berlin"}),
}


@pytest.mark.parametrize(("field", "fields"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("do", ["look", "keep"])
def test_a_bad_draft_shows_an_error_at_its_field_and_is_not_kept(ada, fleet, field, fields, do):
    old = Issuer.objects.get(parent__isnull=False)
    meant = {"berlin": str(fleet.pk), "old": str(old.pk)}
    before = everything()
    response = ada.post(
        add(Campaign), **form(do=do, **{name: meant.get(value, value) for name, value in fields.items()})
    )
    assert response.status_code == 200
    assert set(response.context["form"].errors) == {field}
    assert everything() == before


def test_a_selection_of_nobody_says_so_and_is_not_kept(ada, fleet):
    Label.objects.create(name="beta")
    look = ada.post(add(Campaign), **form(label="beta", do="look"))
    assert "No device with a living certificate" in text_of(look)
    assert "Keep as a draft" not in text_of(look)
    kept = ada.post(add(Campaign), **form(label="beta", do="keep"))
    assert "No device with a living certificate" in text_of(kept)
    assert not Campaign.objects.exists()


def test_a_name_that_is_taken_is_said_and_the_form_comes_back_as_it_was(ada, fleet):
    drafted(ada, fleet)
    response = ada.post(add(Campaign), **form("two", group=str(fleet.pk), do="keep"))
    assert "There is a campaign" in text_of(response)
    assert 'value="to new keys"' in response.content.decode()


@pytest.mark.parametrize("role", ["Viewer", "Auditor", None])
def test_nobody_else_drafts_or_does_anything_with_one(ada, fleet, role):
    campaign = drafted(ada, fleet)
    somebody = of_role(role) if role else browser(staff("somebody", "view_campaign"))
    before = everything()
    assert somebody.get(add(Campaign)).status_code == 403
    assert somebody.post(add(Campaign), **form("two", name="mine", do="keep")).status_code == 403
    shown = somebody.get(page(campaign)).content.decode()
    for name in campaigns.ALLOWED:
        assert deed(campaign, name) not in shown
        assert somebody.get(deed(campaign, name)).status_code == 403
        assert somebody.post(deed(campaign, name), confirmed="yes").status_code == 403
    assert everything() == before


@pytest.mark.parametrize("role", ["Operator", "CA administrator"])
def test_who_may_leads_a_campaign_from_draft_to_end(ada, fleet, role, now):
    person = of_role(role)
    assert person.post(add(Campaign), **form(group=str(fleet.pk), do="keep")).status_code == 302
    campaign = Campaign.objects.get()
    path = {
        "start": "canary",
        "pause": "paused",
        "go_on": "canary",
        "open_to_all": "open",
        "cancel": "cancelled",
    }
    for name, state in path.items():
        assert deed(campaign, name) in person.get(page(campaign)).content.decode(), name
        asked = person.get(deed(campaign, name))
        campaign.refresh_from_db()
        assert campaign.state != state, "it asks first"
        assert person.confirm(asked, deed(campaign, name)).status_code == 302
        campaign.refresh_from_db()
        assert campaign.state == state, name
    assert not person.get(page(campaign)).context["buttons"]


# --- Deeds ----------------------------------------------------------------------------------------


def test_a_get_starts_nothing_and_neither_does_a_page_of_somebody_else(ada, unprotected, fleet):
    campaign = drafted(ada, fleet)
    before = everything()
    assert ada.get(deed(campaign, "start"), confirmed="yes").status_code == 200
    assert unprotected.post(deed(campaign, "start"), confirmed="yes").status_code == 403
    assert unprotected.post(add(Campaign), **form("two", name="theirs", do="keep")).status_code == 403
    assert everything() == before


def test_a_deed_that_was_done_already_is_harmless_and_says_so(ada, fleet):
    campaign = drafted(ada, fleet)
    ada.post(deed(campaign, "start"), confirmed="yes")
    before = everything()
    again = ada.post(deed(campaign, "start"), confirmed="yes")
    assert again["Location"] == page(campaign)
    assert "is canary now" in " ".join(str(each) for each in get_messages(again.wsgi_request))
    assert everything() == before


def test_what_a_deed_will_do_is_said_before_with_its_numbers(ada, fleet, now):
    campaign = drafted(ada, fleet)
    assert "10 % of its devices, at least one" in text_of(ada.get(deed(campaign, "start")))
    ada.post(deed(campaign, "start"), confirmed="yes")
    campaigns.step(now)
    assert "2 devices wait to be asked" in text_of(ada.get(deed(campaign, "pause")))
    assert "so far 0 devices moved" in text_of(ada.get(deed(campaign, "open_to_all")))
    assert "It cannot go on later" in text_of(ada.get(deed(campaign, "cancel")))


def test_of_one_device_it_speaks_as_of_one(ada, fleet, now):
    campaign = drafted(ada, fleet)
    ada.post(deed(campaign, "start"), confirmed="yes")
    campaigns.step(now)
    one, other, last = CampaignMember.objects.order_by("pk")
    for member, state in ((one, "moved"), (other, "asked"), (last, "waiting")):
        CampaignMember.objects.filter(pk=member.pk).update(state=state)
    Campaign.objects.update(elsewhere=1)
    pausing = text_of(ada.get(deed(campaign, "pause")))
    assert "1 device waits to be asked" in pausing
    assert "1 device that was asked and has not renewed yet is not asked any more" in pausing
    assert "1 device that moved stays so" in text_of(ada.get(deed(campaign, "cancel")))
    assert "1 more is led by another campaign" in text_of(ada.get(page(campaign)))


def test_it_says_wherever_it_is_read_that_a_few_failures_stop_nothing(ada, fleet):
    said = "more than 5 % of those who were asked have failed, and at least 3 devices"
    assert said in text_of(ada.post(add(Campaign), **form(group=str(fleet.pk), do="look")))
    assert "have failed, and at least 3 devices" in text_of(ada.get(add(Campaign)))
    assert said in text_of(ada.get(page(drafted(ada, fleet))))


def test_canaries_that_are_watched_for_no_time_are_said_not_to_be_watched(ada, fleet):
    no_time = {"canary_seconds_number": "0"}
    looked = text_of(ada.post(add(Campaign), **form(group=str(fleet.pk), do="look", **no_time)))
    campaign = drafted(ada, fleet, **no_time)
    for said in (looked, text_of(ada.get(page(campaign))), text_of(ada.get(deed(campaign, "start")))):
        assert "not watched" in said
        assert "0 days" not in said


def test_a_campaign_of_keys_is_not_rolled_back(ada, fleet):
    campaign = drafted(ada, fleet)
    ada.post(deed(campaign, "start"), confirmed="yes")
    assert deed(campaign, "roll_back") not in ada.get(page(campaign)).content.decode()
    before = everything()
    assert ada.post(deed(campaign, "roll_back"), confirmed="yes").status_code == 302
    assert everything() == before


@pytest.mark.parametrize("name", ["open_to_all", "cancel"])
def test_what_is_not_taken_back_lightly_needs_a_recent_login(ada, fleet, settings, name):
    campaign = drafted(ada, fleet)
    ada.post(deed(campaign, "start"), confirmed="yes")
    settings.PORTAL_RECENT_LOGIN_SECONDS = -1
    refused = ada.post(deed(campaign, name), confirmed="yes")
    assert "password_again" in refused.content.decode()
    campaign.refresh_from_db()
    assert campaign.state == "canary"
    assert ada.post(deed(campaign, name), confirmed="yes", password_again="a-password").status_code == 302
    campaign.refresh_from_db()
    assert campaign.state != "canary"


# --- What it shows --------------------------------------------------------------------------------


def test_the_page_tells_the_numbers_and_who_is_behind_and_why(ada, fleet, now):
    campaign = drafted(ada, fleet)
    ada.post(deed(campaign, "start"), confirmed="yes")
    campaigns.step(now)
    asked = CampaignMember.objects.get(state="asked")
    response = ada.get(page(campaign))
    assert {word: number for word, number, _ in response.context["numbers"]} == {
        "moved": 0,
        "asked": 1,
        "not seen since": 1,
        "renewed, not shown": 0,
        "failed": 0,
        "waiting": 2,
        "cannot renew, must enroll": 0,
        "left out": 0,
    }
    assert [member.device for member in response.context["laggards"]] == [asked.device]
    CampaignMember.objects.filter(pk=asked.pk).update(state="failed", reason="<b>No</b> such key")
    html = ada.get(page(campaign)).content.decode()
    assert "&lt;b&gt;No&lt;/b&gt; such key" in html
    for _, _, address in response.context["numbers"]:
        assert ada.get(address).status_code == 200


def test_who_cannot_renew_is_counted_and_listed_and_keeps_the_bar_from_being_full(ada, fleet, now):
    gone = Certificate.objects.filter(device__name="door-0")
    revocation.revoke(gone, Revocation.Reason.KEY_COMPROMISE, TESTER, now)
    campaign = drafted(ada, fleet)
    ada.post(deed(campaign, "start"), confirmed="yes")
    campaigns.step(now)
    CampaignMember.objects.exclude(state="unable").update(state="moved")
    response = ada.get(page(campaign))
    assert "2 of 3 moved" in text_of(response)
    assert response.context["how_far"].percent == 66
    (address,) = [address for word, _, address in response.context["numbers"] if "must enroll" in word]
    (shown,) = ada.get(address).context["cl"].result_list
    assert shown.device.name == "door-0"


def test_what_came_back_is_said_to_have_moved_back(ada, fleet, now):
    campaign = drafted(ada, fleet)
    ada.post(deed(campaign, "start"), confirmed="yes")
    campaigns.step(now)
    first, *others = CampaignMember.objects.order_by("pk")
    CampaignMember.objects.filter(pk=first.pk).update(state="moved")
    CampaignMember.objects.filter(pk__in=[each.pk for each in others]).update(state="left")
    Campaign.objects.update(state="rolled back")
    said = text_of(ada.get(page(campaign)))
    assert "1 of 1 moved back" in said
    assert "2 nothing to move back" in said
    assert "1 of 1 back" in text_of(ada.get(changelist(Campaign)))


def test_nobody_is_said_to_have_moved_back_before_all_devices_are_turned_round(ada, fleet, now):
    campaign = drafted(ada, fleet)
    ada.post(deed(campaign, "start"), confirmed="yes")
    campaigns.step(now)
    CampaignMember.objects.update(state="moved")
    Campaign.objects.update(state="rolling back", gathered_up_to=0)
    for where in (page(campaign), changelist(Campaign)):
        said = text_of(ada.get(where))
        assert "being turned round" in said
        assert "moved back" not in said


def test_a_page_at_work_brings_itself_up_to_date_and_one_that_is_over_does_not(ada, fleet):
    campaign = drafted(ada, fleet)
    assert "data-refreshes" not in ada.get(page(campaign)).content.decode()
    ada.post(deed(campaign, "start"), confirmed="yes")
    html = ada.get(page(campaign)).content.decode()
    assert "data-refreshes" in html
    for part in re.findall(r"<(?:div|section)[^>]*data-live[^>]*>", html):
        assert 'id="' in part, "it is found again by its id"
    ada.post(deed(campaign, "cancel"), confirmed="yes")
    assert "data-refreshes" not in ada.get(page(campaign)).content.decode()


def test_the_list_tells_how_many_moved_of_all_and_how_many_failed(ada, fleet, now):
    campaign = drafted(ada, fleet)
    ada.post(deed(campaign, "start"), confirmed="yes")
    campaigns.step(now)
    first, second, third = CampaignMember.objects.order_by("pk")
    CampaignMember.objects.filter(pk__in=[first.pk, second.pk]).update(state="moved")
    CampaignMember.objects.filter(pk=third.pk).update(state="failed")
    (shown,) = ada.get(changelist(Campaign)).context["cl"].result_list
    assert shown.counts == {"moved": 2, "failed": 1}
    assert "2 of 3" in text_of(ada.get(changelist(Campaign)))


def test_members_are_listed_by_how_far_they_are(ada, fleet, now):
    campaign = drafted(ada, fleet)
    ada.post(deed(campaign, "start"), confirmed="yes")
    campaigns.step(now)
    for state, number in (("asked", 1), ("waiting", 2), ("moved", 0), ("nonsense", 3)):
        shown = ada.get(changelist(CampaignMember), campaign__id__exact=str(campaign.pk), state=state)
        assert len(shown.context["cl"].result_list) == number, state


def test_a_post_to_a_campaigns_page_does_nothing(ada, fleet):
    campaign = drafted(ada, fleet)
    before = everything()
    assert ada.post(page(campaign), state="finished").status_code == 405
    assert everything() == before


def test_a_devices_page_tells_which_campaign_asks_it(ada, fleet, now):
    campaign = drafted(ada, fleet)
    ada.post(deed(campaign, "start"), confirmed="yes")
    campaigns.step(now)
    asked = CampaignMember.objects.get(state="asked").device
    said = text_of(ada.get(page(asked)))
    assert "asked to renew now by the campaign to new keys" in said
    waits = CampaignMember.objects.filter(state="waiting").first().device
    assert "asked to renew now" not in text_of(ada.get(page(waits)))


def test_a_devices_page_tells_why_it_failed_what_a_campaign_asked(ada, fleet, now):
    campaign = drafted(ada, fleet)
    ada.post(deed(campaign, "start"), confirmed="yes")
    campaigns.step(now)
    asked = CampaignMember.objects.get(state="asked").device
    members.failed(asked, "same_key_refused", "The key was certified before.", now)
    assert "failed The key was certified before." in text_of(ada.get(page(asked)))


def test_the_dashboard_names_campaigns_at_work_and_warns_of_one_that_stopped(ada, fleet):
    campaign = drafted(ada, fleet)
    index = reverse("admin:index")
    assert "Campaigns at work" not in text_of(ada.get(index))
    ada.post(deed(campaign, "start"), confirmed="yes")
    assert "Campaigns at work" in text_of(ada.get(index))
    Campaign.objects.update(state="stopped", reason="6 % of 100 failed.")
    sentences = [warning.sentence for warning in ada.get(index).context["warnings"]]
    assert any("stopped by itself. 6 % of 100 failed." in each for each in sentences)


def test_what_ends_soon_and_was_not_renewed_is_counted_and_listed(ada, now):
    Profile.objects.filter(name="device").update(lifetime_seconds=5 * 86400)
    renews, sleeps, gone = (registered(name, now) for name in ("renews", "sleeps", "gone"))
    issue(renews, now - 2 * DAY)
    issue(renews, now)
    late = issue(sleeps, now)
    issue(gone, now)
    Device.objects.filter(pk=gone.pk).update(state="retired")
    newest = Certificate.objects.filter(device=renews).latest("pk")
    response = ada.get(reverse("admin:index"))
    shown = ada.get(response.context["unrenewed_link"]).context["cl"].result_list
    assert {each.pk for each in shown} == {late.pk, newest.pk}
    assert response.context["unrenewed"] == "2"
