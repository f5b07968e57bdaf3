"""A device's page says who signs for it instead of its profile's issuer, since when, and ends that."""

import re
from html import unescape

import pytest
from django.contrib.auth.models import Group

from pki.models import AuditEvent, Device, Issuer
from pki.services.rotating import campaigns
from pki.services.rotating.selection import Selection
from tests.console.browser import page
from tests.console.conftest import browser, staff
from tests.services.campaigns.cast import Fleet, condemn, group_of, new_issuer, old_issuer, started
from tests.services.cast import TESTER, everything

ROLES = ("Viewer", "Operator", "CA administrator", "Auditor")
MAY = {"Operator", "CA administrator"}


@pytest.fixture
def moved(ca, now):
    """A device that a finished campaign moved, while its profile stayed with the old issuer."""
    fleet = Fleet.of(2, now)
    campaign = started(fleet, Selection(group=group_of("door-0")), new_issuer(now))
    fleet.move("door-0")
    campaigns.finish(campaign, TESTER, fleet.now)
    fleet.step()
    return Device.objects.get(name="door-0")


def text_of(response):
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode())))


def button(device):
    return page(device, "follow-profile")


def of_role(role):
    user = staff(f"a-{role}")
    user.groups.add(Group.objects.get(name=role))
    return browser(user)


def test_a_page_says_who_signs_instead_and_which_campaign_decided_so(ada, moved):
    said = text_of(ada.get(page(moved)))
    assert (
        f"Its next certificate is signed by Next CA instead of its profile's {old_issuer()}, as the campaign "
        "spring decided."
    ) in said
    assert button(moved) in ada.get(page(moved)).content.decode()


def test_a_device_that_follows_its_profile_has_neither(ada, moved):
    other = Device.objects.get(name="door-1")
    html = ada.get(page(other)).content.decode()
    assert "Its next certificate" not in html
    assert button(other) not in html
    Device.objects.filter(pk=other.pk).update(issuer=old_issuer())
    assert "Its next certificate" not in ada.get(page(other)).content.decode(), "the same as the profile's"


def test_one_that_cannot_sign_is_said_to_be_no_decision(ada, moved, now):
    Issuer.objects.filter(name="Next CA").update(not_after=now)
    said = text_of(ada.get(page(moved)))
    assert f"Its next certificate is signed by its profile's {old_issuer()}: Next CA" in said
    assert "cannot sign any more" in said


def test_it_is_ended_after_a_question_and_told_in_the_timeline(ada, moved, now):
    before = everything()
    asked = ada.get(button(moved))
    assert f"Its profile device says {old_issuer()}; a campaign had decided on Next CA." in text_of(asked)
    assert everything() == before
    assert ada.confirm(asked, button(moved))["Location"] == page(moved)
    moved.refresh_from_db()
    assert moved.issuer is None
    event = AuditEvent.objects.get(kind="device.follows_profile")
    assert (event.actor, event.device) == ("administrator:admin", moved)
    assert "Follows its profile again, and not Next CA as a campaign had decided" in text_of(
        ada.get(page(moved))
    )


@pytest.mark.parametrize("role", ROLES)
def test_it_is_ended_by_the_roles_that_may(moved, role):
    person, may = of_role(role), role in MAY
    assert (button(moved) in person.get(page(moved)).content.decode()) is may
    before = everything()
    assert person.post(button(moved), confirmed="yes").status_code == (302 if may else 403)
    assert (Device.objects.get(pk=moved.pk).issuer is None) is may
    if not may:
        assert everything() == before


def test_it_needs_a_recent_login(ada, moved, settings):
    settings.PORTAL_RECENT_LOGIN_SECONDS = -1
    assert "password_again" in ada.post(button(moved), confirmed="yes").content.decode()
    assert Device.objects.get(pk=moved.pk).issuer is not None


def test_who_retires_an_issuer_has_its_devices_follow_their_profiles(ada, moved, now):
    issuer = Issuer.objects.get(name="Next CA")
    asked = text_of(ada.get(page(issuer, "retire")))
    assert "Devices for which a campaign had decided on it follow their profiles again." in asked
    condemn(issuer, Issuer.State.RETIRED, now)
    assert "Devices for which" not in text_of(ada.get(page(issuer, "compromised")))
    assert button(moved) not in ada.get(page(moved)).content.decode()
