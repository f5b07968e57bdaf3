"""What administrators do: it is asked first, done by POST alone, by those who may, and put on record."""

import pytest
from django.contrib.auth.models import User
from django.contrib.messages import get_messages

from pki.models import (
    AuditEvent,
    Certificate,
    Device,
    EnrollmentRequest,
    EnrollmentToken,
    Revocation,
    RevocationList,
)
from pki.services.enrolling import approval, tokens
from pki.services.revoking import revocation
from tests.console.browser import ONE_TOKEN, changelist, new_token, page
from tests.console.conftest import browser, staff
from tests.services.cast import TESTER, Gadget, change_state, everything


def events(kind):
    return AuditEvent.objects.filter(kind=kind, actor="administrator:admin")


def told(response):
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


def is_revoked(certificate):
    return Revocation.objects.filter(certificate=certificate).exists()


# --- Actions of the lists: a table of all of them -------------------------------------------------


def state_of(row):
    row.refresh_from_db()
    return row.state


ACTIONS = {
    "revoke a certificate": (
        Certificate,
        "revoke_selected",
        lambda world: world.certificate,
        {"reason": "keyCompromise"},
        is_revoked,
        "certificate.revoked",
    ),
    "revoke a device's certificates": (
        Device,
        "revoke_selected",
        lambda world: world.door,
        {"reason": "keyCompromise"},
        lambda door: not revocation.living(door, door.created_at).exists(),
        "certificate.revoked",
    ),
    "suspend a device": (
        Device,
        "suspend_selected",
        lambda world: world.door,
        {},
        lambda door: state_of(door) == "suspended",
        "device.suspended",
    ),
    "resume a device": (
        Device,
        "resume_selected",
        lambda world: Device.objects.get(name="suspended-1"),
        {},
        lambda door: state_of(door) == "active",
        "device.active",
    ),
    "retire a device": (
        Device,
        "retire_selected",
        lambda world: world.door,
        {},
        lambda door: state_of(door) == "retired",
        "device.retired",
    ),
    "approve a request": (
        EnrollmentRequest,
        "approve_selected",
        lambda world: world.waiting,
        {},
        lambda request: state_of(request) == "issued",
        "enrollment.approved",
    ),
    "reject a request": (
        EnrollmentRequest,
        "reject_selected",
        lambda world: world.waiting,
        {"message": "Not ours."},
        lambda request: state_of(request) == "rejected",
        "enrollment.rejected",
    ),
    "cancel a token": (
        EnrollmentToken,
        "cancel_selected",
        lambda world: world.token,
        {},
        lambda token: EnrollmentToken.objects.get(pk=token.pk).cancelled_at is not None,
        "token.cancelled",
    ),
    "publish a revocation list": (
        RevocationList,
        "publish_selected",
        lambda world: world.list,
        {},
        lambda row: RevocationList.objects.get(pk=row.pk).number > 1,
        "crl.published",
    ),
}
of_each_action = pytest.mark.parametrize(
    ("model", "action", "row", "filled", "done", "kind"), ACTIONS.values(), ids=ACTIONS
)


@of_each_action
def test_an_action_asks_first_and_then_acts_and_is_on_record(
    ada, world, model, action, row, filled, done, kind
):
    row = row(world)
    before = everything()
    asked = ada.act(model, action, row)
    assert asked.status_code == 200
    assert str(row) in asked.content.decode()
    assert everything() == before, "nothing happens before the question is answered"

    answered = ada.confirm(asked, changelist(model), **filled)
    assert answered.status_code == 302
    assert done(row)
    event = events(kind).order_by("pk").last()
    assert (event.actor, event.address) == ("administrator:admin", "127.0.0.1")


@of_each_action
def test_an_action_is_only_for_the_rows_that_were_chosen(ada, world, model, action, row, filled, done, kind):
    other = {"pk__in": [world.other.pk, world.gate.pk]} if model in (Certificate, Device) else {}
    bystanders = [each for each in model.objects.filter(**other) if each.pk != row(world).pk]
    before = {each.pk: done(each) for each in bystanders}
    asked = ada.act(model, action, row(world))
    ada.confirm(asked, changelist(model), **filled)
    assert bystanders
    assert {each.pk: done(each) for each in bystanders} == before


def attempts(world):
    """Every action with all that it needs to be done: its list, its name, its rows and its form."""
    for model, action, row, filled, _, _ in ACTIONS.values():
        yield model, action, row(world), filled


def test_no_action_is_done_by_a_get(ada, world):
    before = everything()
    for model, action, row, filled in attempts(world):
        query = {"action": action, "_selected_action": str(row.pk), "confirmed": "yes", "index": "0"}
        ada.get(changelist(model), **query, **filled)
        assert everything() == before, action


def test_who_may_only_look_is_offered_no_action_and_does_none(viewer, world):
    before = everything()
    for model, action, row, filled in attempts(world):
        for answer in ({}, {"confirmed": "yes", **filled}):
            response = viewer.act(model, action, row, **answer)
            assert "confirmed" not in response.content.decode(), f"{action}: nothing is even asked"
        assert action not in viewer.get(changelist(model)).content.decode()
        assert everything() == before, action


def test_a_stranger_does_nothing(stranger, world):
    before = everything()
    for model, action, row, filled in attempts(world):
        response = stranger.act(model, action, row, confirmed="yes", **filled)
        assert (response.status_code, everything()) == (302, before), action


def test_a_page_of_somebody_else_makes_an_administrator_do_nothing(unprotected, world):
    before = everything()
    for model, action, row, filled in attempts(world):
        for answer in ({}, {"confirmed": "yes", **filled}):
            assert unprotected.act(model, action, row, **answer).status_code == 403, action
    assert everything() == before


def test_an_action_without_a_choice_does_nothing(ada, world):
    before = everything()
    for model, action, _, filled in attempts(world):
        ada.act(model, action, confirmed="yes", **filled)
        assert everything() == before, action


# --- Each for itself ------------------------------------------------------------------------------


def test_a_certificate_is_revoked_for_the_reason_that_was_chosen_by_who_chose_it(ada, world):
    asked = ada.act(Certificate, "revoke_selected", world.certificate, world.other)
    ada.confirm(asked, changelist(Certificate), reason="cessationOfOperation")
    for certificate in (world.certificate, world.other):
        kept = Revocation.objects.get(certificate=certificate)
        assert (kept.reason, kept.revoked_by.username) == ("cessationOfOperation", "admin")


@pytest.mark.parametrize("reason", ["", "boredom", "cACompromise"])
def test_a_reason_that_there_is_not_asks_again(ada, world, reason):
    asked = ada.act(Certificate, "revoke_selected", world.certificate)
    again = ada.confirm(asked, changelist(Certificate), reason=reason)
    assert again.status_code == 200
    assert again.context["form"].errors
    assert not is_revoked(world.certificate)


def test_a_rejection_needs_a_message(ada, world):
    asked = ada.act(EnrollmentRequest, "reject_selected", world.waiting)
    assert ada.confirm(asked, changelist(EnrollmentRequest), message="").context["form"].errors
    assert state_of(world.waiting) == "waiting"


def test_revoking_again_is_told_and_changes_nothing(ada, world):
    before = everything()
    asked = ada.act(Certificate, "revoke_selected", world.doomed)
    answered = ada.confirm(asked, changelist(Certificate), reason="keyCompromise")
    assert "revoked already" in told(answered)
    assert everything() == before


@pytest.mark.parametrize("action", ["approve_selected", "reject_selected"])
def test_a_request_that_was_decided_meanwhile_is_told_and_stays_decided(ada, world, action, now):
    asked = ada.act(EnrollmentRequest, action, world.waiting)
    approval.reject(world.waiting.pk, "No.", TESTER, now)
    before = everything()
    answered = ada.confirm(asked, changelist(EnrollmentRequest), message="No again.")
    assert "does not wait" in told(answered)
    assert everything() == before


@pytest.mark.parametrize("who", ["waiting", "also_waiting"])
def test_nothing_is_approved_without_a_word(ada, world, now, who):
    """Of two of which one was decided meanwhile, the other is not approved, or that it was is told."""
    decided = getattr(world, who)
    other = world.also_waiting if decided == world.waiting else world.waiting
    asked = ada.act(EnrollmentRequest, "approve_selected", world.waiting, world.also_waiting)
    approval.reject(decided.pk, "No.", TESTER, now)
    answered = ada.confirm(asked, changelist(EnrollmentRequest))
    assert "does not wait" in told(answered)
    assert state_of(other) == "waiting" or "Approved 1" in told(answered)


def test_how_many_were_changed_is_told_also_in_a_filtered_list(ada, world):
    url = f"{changelist(Device)}?state=active"
    fields = {"action": "suspend_selected", "_selected_action": [world.door.pk, world.gate.pk], "index": "0"}
    asked = ada.post(url, **fields)
    answered = ada.confirm(asked, url)
    assert {state_of(world.door), state_of(world.gate)} == {"suspended"}
    assert "2" in told(answered)


def test_what_is_retired_is_gone_for_good(ada, world):
    retired = Device.objects.get(name="retired-1")
    ada.confirm(ada.act(Device, "resume_selected", retired), changelist(Device))
    assert state_of(retired) == "retired"


# --- A new token ----------------------------------------------------------------------------------


def test_a_new_token_is_asked_for_shown_once_and_works(ada, world, now):
    before = everything()
    asked = ada.get(new_token(world.gate))
    assert asked.status_code == 200
    assert everything() == before
    shown = ada.confirm(asked, new_token(world.gate), **ONE_TOKEN)
    secret = shown.context["secret"]
    assert secret in shown.content.decode()
    assert "no-store" in shown["Cache-Control"]
    assert events("token.made").get().device == world.gate
    assert Gadget("gate-1").enroll(secret, now).certificate.device == world.gate
    ada.pages.clear()
    for url in (new_token(world.gate), page(world.gate), page(tokens.find(secret, now)), changelist(Device)):
        ada.get(url)
    assert not [html for html in ada.pages if secret in html]


def test_the_command_on_the_token_page_names_the_device_and_the_listener(ada, world, settings):
    shown = ada.confirm(ada.get(new_token(world.gate)), new_token(world.gate), **ONE_TOKEN).content.decode()
    assert "/CN=gate-1" in shown
    assert f"{settings.PORTAL_HOSTNAMES[0]}:{settings.PORTAL_PORT_PROVISIONING}/sign-csr" in shown


def test_the_command_on_the_token_page_can_be_pasted_under_an_ipv6_hostname(ada, world, settings):
    settings.PORTAL_HOSTNAMES = ["2001:db8::1"]
    shown = ada.confirm(ada.get(new_token(world.gate)), new_token(world.gate), **ONE_TOKEN).content.decode()
    assert f"https://[2001:db8::1]:{settings.PORTAL_PORT_PROVISIONING}/sign-csr" in shown


@pytest.mark.parametrize("who", ["viewer", "newcomer", "stranger"])
def test_a_token_is_not_made_by_who_may_not(request, world, who):
    person = request.getfixturevalue(who)
    before = everything()
    sent = {"confirmed": "yes", "once": "one", **ONE_TOKEN}
    for response in (person.get(new_token(world.door)), person.post(new_token(world.door), **sent)):
        assert response.status_code in (302, 403)
        assert "secret" not in (response.context or {})
    assert everything() == before


def test_a_token_is_not_made_by_a_get(ada, world):
    before = everything()
    ada.get(new_token(world.door), confirmed="yes", once="one", **ONE_TOKEN)
    assert everything() == before


def test_a_token_is_not_made_for_a_page_of_somebody_else(unprotected, world):
    before = everything()
    assert (
        unprotected.post(new_token(world.door), confirmed="yes", once="one", **ONE_TOKEN).status_code == 403
    )
    assert everything() == before


def test_a_token_for_a_device_that_is_not_there_is_not_found(ada, world):
    url = f"{changelist(Device)}999999/new-token/"
    assert ada.get(url).status_code == 404
    assert ada.post(url, confirmed="yes", once="one", **ONE_TOKEN).status_code == 404


PERMISSIONS = {
    "may make tokens and see devices": (("add_enrollmenttoken", "view_device"), True),
    "may make tokens but see no device": (("add_enrollmenttoken",), False),
    "may change devices but make no token": (("view_device", "change_device"), False),
}


@pytest.mark.parametrize(("permissions", "may"), PERMISSIONS.values(), ids=PERMISSIONS)
def test_a_token_is_made_by_who_may(world, permissions, may):
    person = browser(staff("bob", *permissions))
    person.post(new_token(world.gate), confirmed="yes", once="one", **ONE_TOKEN)
    assert AuditEvent.objects.filter(kind="token.made", actor="administrator:bob").exists() is may


GRANTED = {
    "to revoke": (("view_certificate", "add_revocation"), Certificate, "revoke_selected", True),
    "to see revocations": (("view_certificate", "view_revocation"), Certificate, "revoke_selected", False),
    "to change devices": (("view_device", "change_device"), Device, "revoke_selected", False),
    "to decide": (
        ("view_enrollmentrequest", "change_enrollmentrequest"),
        EnrollmentRequest,
        "approve_selected",
        True,
    ),
    "to add requests": (
        ("view_enrollmentrequest", "add_enrollmentrequest"),
        EnrollmentRequest,
        "approve_selected",
        False,
    ),
}


@pytest.mark.parametrize(("permissions", "model", "action", "may"), GRANTED.values(), ids=GRANTED)
def test_an_action_needs_its_own_permission(world, permissions, model, action, may):
    person = browser(staff("bob", *permissions))
    row = {Certificate: world.certificate, Device: world.door, EnrollmentRequest: world.waiting}[model]
    person.act(model, action, row, confirmed="yes", reason="unspecified")
    assert (
        AuditEvent.objects.filter(actor="administrator:bob").exclude(kind="login.succeeded").exists() is may
    )


# --- People ---------------------------------------------------------------------------------------


def test_a_wrong_password_does_not_let_in(ca, client):
    for password in ("wrong", "", "a-password\0"):
        client.post("/admin/login/", {"username": "admin", "password": password}, secure=True)
        assert "_auth_user_id" not in client.session
    client.post("/admin/login/", {"username": "admin", "password": "a-password"}, secure=True)
    assert client.session["_auth_user_id"] == str(User.objects.get(username="admin").pk)


def test_who_is_no_longer_active_is_out_at_the_next_page(ada):
    User.objects.filter(username="admin").update(is_active=False)
    assert ada.get(changelist(Device)).status_code == 302


def test_a_suspended_devices_page_still_offers_to_resume_it(ada, world, now):
    change_state(world.door, Device.State.SUSPENDED, now)
    html = ada.get(changelist(Device)).content.decode()
    assert "resume_selected" in html
