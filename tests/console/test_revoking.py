"""Revoking in the console: from every page, for a reason that was chosen, after saying what will stop."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.contrib.messages import get_messages
from django.template.loader import render_to_string

from pki.admin.authority import revoking
from pki.admin.authority.revoking import REASONS
from pki.models import AuditEvent, Certificate, Device, LastSeen, Revocation
from pki.services.revoking import revocation
from tests.console.browser import changelist, page
from tests.console.conftest import browser, staff
from tests.services.cast import TESTER, everything, issue


def revoke_url(row):
    return page(row, "revoke")


def lift_url(certificate):
    return page(certificate, "lift_hold")


def told(response):
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


def reasons_of(certificate):
    return list(Revocation.objects.filter(certificate=certificate).values_list("reason", flat=True))


def of_role(role, name):
    user = User.objects.create_user(name, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return browser(user)


@pytest.fixture
def held(world, now):
    revocation.revoke([world.certificate], revocation.HOLD, TESTER, now, note="Left on a train.")
    return world.certificate


# --- What is asked --------------------------------------------------------------------------------


def test_every_reason_is_offered_with_a_sentence_and_none_is_chosen_already(ada, world):
    html = ada.get(revoke_url(world.certificate)).content.decode()
    assert set(REASONS) == set(Revocation.Reason)
    for reason, sentence in REASONS.items():
        assert f'value="{reason}"' in html
        assert sentence.replace("'", "&#x27;") in html
    assert html.count('type="radio"') == len(Revocation.Reason)
    assert "checked" not in html.partition('class="choices"')[2].partition("</form>")[0]


@pytest.mark.parametrize("reason", ["", "boredom", "cACompromise", "removeFromCRL"])
def test_without_a_reason_nothing_is_revoked_and_the_note_is_not_lost(ada, world, reason):
    url = revoke_url(world.certificate)
    before = everything()
    again = ada.confirm(ada.get(url), url, reason=reason, note="My careful note.")
    assert again.status_code == 200
    assert "My careful note." in again.content.decode()
    assert everything() == before


def test_what_will_stop_working_is_said(ada, world, now):
    for device, certificate, minutes in ((world.door, world.certificate, 2), (world.gate, world.other, 300)):
        at = now - timedelta(minutes=minutes)
        LastSeen.objects.create(device=device, certificate=certificate, at=at, tls_version="TLSv1.3")
    asked = ada.act(Certificate, "revoke_selected", world.certificate, world.other, world.doomed)
    html = asked.content.decode()
    assert "These 2 certificates belong to 2 devices, last seen 2 minutes ago." in html
    assert "door-1, 2 minutes ago; gate-1, 5 hours ago" in html
    assert "Revoked already: 1." in html


def test_a_device_that_can_still_connect_is_said_to(ada, world, now):
    issue(world.door, now)
    html = ada.get(revoke_url(world.certificate)).content.decode()
    assert "never seen so far" in html
    assert "The device has another living certificate, for another key" in html
    html = ada.act(Certificate, "revoke_selected", world.certificate, world.other).content.decode()
    assert "1 of the devices has another living certificate, for another key" in html


# --- What is done ---------------------------------------------------------------------------------


def test_a_certificate_is_revoked_from_its_page_and_the_note_goes_on_record_alone(ada, world):
    url = revoke_url(world.certificate)
    answered = ada.confirm(ada.get(url), url, reason="keyCompromise", note="Stolen in Berlin.")
    assert (answered.status_code, answered["Location"]) == (302, page(world.certificate))
    assert reasons_of(world.certificate) == ["keyCompromise"]
    event = AuditEvent.objects.get(kind="certificate.revoked", actor="administrator:admin")
    assert event.detail["note"] == "Stolen in Berlin."


def test_all_that_a_device_has_is_revoked_from_its_page_and_nothing_else(ada, world, now):
    second = issue(world.door, now)
    url = revoke_url(world.door)
    ada.confirm(ada.get(url), url, reason="cessationOfOperation")
    assert reasons_of(world.certificate) == reasons_of(second) == ["cessationOfOperation"]
    assert reasons_of(world.doomed) == ["superseded"]
    assert reasons_of(world.other) == []


def test_a_device_that_has_nothing_to_revoke_is_told_so(ada, world):
    url = revoke_url(Device.objects.get(name="suspended-1"))
    asked = ada.get(url)
    assert "nothing left to revoke" in asked.content.decode()
    assert "nothing left to revoke" in told(ada.confirm(asked, url, reason="unspecified"))


def test_of_many_certificates_a_page_looks_at_some_and_says_so_and_all_are_revoked(
    ada, world, monkeypatch, now
):
    monkeypatch.setattr(revocation, "MOST_AT_ONCE", 2)
    monkeypatch.setattr(revoking, "LOOKED_AT", 3)
    second, third = issue(world.door, now), issue(world.door, now)
    url = revoke_url(world.group)
    assert "more than" not in ada.get(url).content.decode()
    fourth = issue(world.door, now)
    asked = ada.get(url)
    assert "There are more than 3 certificates, and all of them are revoked." in asked.content.decode()
    assert "These 3 certificates belong to 1 device" in asked.content.decode()
    assert "Revoked 4 certificates." in told(ada.confirm(asked, url, reason="superseded"))
    for each in (world.certificate, second, third, fourth):
        assert reasons_of(each) == ["superseded"]
    assert reasons_of(world.other) == []


def test_the_question_names_what_it_is_about(ada, world):
    for row, words in (
        (world.certificate, "Revoke this certificate?"),
        (world.door, "Revoke all living certificates of this device?"),
        (world.group, "Revoke all living certificates of all devices in this group?"),
    ):
        assert words in ada.get(revoke_url(row)).content.decode()
    asked = ada.act(Device, "revoke_selected", world.door, world.gate).content.decode()
    assert "Revoke all living certificates of these devices?" in asked


def test_twice_is_told_and_changes_nothing(ada, world):
    url = revoke_url(world.certificate)
    asked = ada.get(url)
    ada.confirm(asked, url, reason="superseded")
    before = everything()
    assert "revoked already" in told(ada.confirm(asked, url, reason="keyCompromise"))
    assert everything() == before


# --- Holds ----------------------------------------------------------------------------------------


def test_a_hold_is_lifted_from_the_certificates_page(ada, held):
    asked = ada.get(lift_url(held))
    assert reasons_of(held) == ["certificateHold"]
    answered = ada.confirm(asked, lift_url(held), note="Found again.")
    assert answered["Location"] == page(held)
    assert reasons_of(held) == []
    event = AuditEvent.objects.get(kind="certificate.hold_lifted")
    assert (event.actor, event.detail["held_because"], event.detail["note"]) == (
        "administrator:admin",
        "Left on a train.",
        "Found again.",
    )


@pytest.mark.parametrize("model", [Certificate, Revocation])
def test_a_hold_is_lifted_in_a_list(ada, held, model):
    row = held if model is Certificate else Revocation.objects.get(certificate=held)
    ada.confirm(ada.act(model, "lift_selected", row), changelist(model))
    assert reasons_of(held) == []


def test_nothing_but_a_hold_is_lifted(ada, world, held):
    before = everything()
    for chosen in ((world.doomed,), (held, world.doomed), (world.other,)):
        asked = ada.act(Certificate, "lift_selected", *chosen)
        assert "Only certificateHold can be lifted" in told(ada.confirm(asked, changelist(Certificate)))
    asked = ada.get(lift_url(world.doomed))
    assert "Only certificateHold" in told(ada.confirm(asked, lift_url(world.doomed)))
    assert everything() == before


def test_what_is_held_is_revoked_for_good(ada, held):
    asked = ada.get(revoke_url(held))
    assert "On hold: 1." in asked.content.decode()
    ada.confirm(asked, revoke_url(held), reason="keyCompromise")
    assert reasons_of(held) == ["keyCompromise"]


# --- Who may --------------------------------------------------------------------------------------

ROLES = {"Viewer": False, "Auditor": False, "Operator": True, "CA administrator": True}


@pytest.mark.parametrize(("role", "may"), ROLES.items(), ids=ROLES)
def test_by_url_too_only_who_may_revokes_and_lifts(world, held, role, may):
    person = of_role(role, "bob")
    before = everything()
    targets = [revoke_url(world.other), revoke_url(world.gate), lift_url(held)]
    for url in targets:
        response = person.get(url)
        assert response.status_code == (200 if may else 403), url
        if not may:
            assert person.post(url, confirmed="yes", reason="unspecified").status_code == 403, url
    assert {**everything(), "auth.User": 0} == {**before, "auth.User": 0}
    if may:
        person.confirm(person.get(lift_url(held)), lift_url(held))
        person.confirm(person.get(revoke_url(world.gate)), revoke_url(world.gate), reason="unspecified")
        assert reasons_of(held) == []
        assert reasons_of(world.other) == ["unspecified"]


@pytest.mark.parametrize("who", ["newcomer", "stranger"])
def test_who_is_nobody_does_nothing(request, world, held, who):
    person = request.getfixturevalue(who)
    before = everything()
    for url in (revoke_url(world.other), revoke_url(world.door), lift_url(held)):
        for response in (person.get(url), person.post(url, confirmed="yes", reason="unspecified")):
            assert response.status_code in (302, 403)
    assert everything() == before


def test_who_may_revoke_but_not_lift_does_not_lift(world, held):
    person = browser(staff("bob", "view_certificate", "view_revocation", "add_revocation"))
    assert person.post(lift_url(held), confirmed="yes").status_code == 403
    row = Revocation.objects.get(certificate=held)
    for model, chosen in ((Certificate, held), (Revocation, row)):
        person.act(model, "lift_selected", chosen, confirmed="yes")
    assert reasons_of(held) == ["certificateHold"]


def test_who_sees_no_devices_revokes_none_of_theirs(world):
    person = browser(staff("bob", "view_certificate", "add_revocation"))
    assert person.post(revoke_url(world.door), confirmed="yes", reason="unspecified").status_code == 403
    assert reasons_of(world.certificate) == []


def test_nothing_is_done_by_a_get_or_for_a_page_of_somebody_else(ada, unprotected, world, held):
    before = everything()
    for url in (revoke_url(world.other), revoke_url(world.gate), lift_url(held)):
        ada.get(url, confirmed="yes", reason="unspecified")
        assert unprotected.post(url, confirmed="yes", reason="unspecified").status_code == 403
    assert everything() == before


def test_after_a_while_the_password_is_asked_again(ada, world, held, settings):
    settings.PORTAL_RECENT_LOGIN_SECONDS = -1
    before = everything()
    for url in (revoke_url(world.other), revoke_url(world.gate), lift_url(held)):
        asked = ada.get(url)
        assert 'name="password_again"' in asked.content.decode()
        assert ada.confirm(asked, url, reason="unspecified").status_code == 200
    assert everything() == before


def test_what_is_not_there_is_not_found(ada, world):
    for model in (Certificate, Device):
        for key in ("999999", "nonsense", "9" * 30):
            for verb in ("revoke", "lift-hold"):
                assert ada.get(f"{changelist(model)}{key}/{verb}/").status_code in (302, 404), (model, key)


# --- The buttons of a certificate's page ----------------------------------------------------------


def test_the_buttons_fit_the_certificates_state(ada, world, held, rf):
    admin = User.objects.get(username="admin")
    nobody = User.objects.get_or_create(username="nobody")[0]

    def buttons(certificate, user):
        request = rf.get("/")
        request.user = user
        fresh = Certificate.objects.get(pk=certificate.pk)
        return render_to_string("console/parts/revoking.html", {"certificate": fresh}, request)

    assert ">Revoke<" in buttons(world.other, admin)
    assert "Lift" not in buttons(world.other, admin)
    assert ">Revoke for good<" in buttons(held, admin)
    assert ">Lift the hold<" in buttons(held, admin)
    assert "<a" not in buttons(world.doomed, admin)
    assert "<a" not in buttons(held, nobody)
