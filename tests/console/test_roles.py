"""Who may do what: every role, every page and every action, by the button as well as by the URL."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.urls import reverse

from pki.models import (
    AuditCheckpoint,
    AuditEvent,
    Campaign,
    CampaignMember,
    Certificate,
    CrossCertificate,
    Delivery,
    Device,
    EnrollmentRequest,
    EnrollmentToken,
    Issuer,
    LoginKey,
    Notice,
    Profile,
    Responder,
    Revocation,
    RevocationList,
    TrustBundle,
    Webhook,
)
from tests.console.browser import ONE_TOKEN, add, changelist, new_token, page, registered_models
from tests.console.conftest import browser
from tests.console.test_deeds import ACTIONS
from tests.services.cast import everything

VIEWER, OPERATOR, CA_ADMINISTRATOR, AUDITOR = "Viewer", "Operator", "CA administrator", "Auditor"
ROLES = (VIEWER, OPERATOR, CA_ADMINISTRATOR, AUDITOR)
WHO_MAY_ACT = {OPERATOR, CA_ADMINISTRATOR}

MAY_SEE: dict[type, set[str]] = {
    Certificate: set(ROLES),
    Device: set(ROLES),
    EnrollmentRequest: set(ROLES),
    EnrollmentToken: set(ROLES),
    Issuer: set(ROLES),
    Profile: set(ROLES),
    Responder: set(ROLES),
    Revocation: set(ROLES),
    RevocationList: set(ROLES),
    Campaign: set(ROLES),
    CampaignMember: set(ROLES),
    CrossCertificate: set(ROLES),
    Delivery: set(ROLES),
    Notice: set(ROLES),
    TrustBundle: set(ROLES),
    Webhook: set(ROLES),
    AuditEvent: {CA_ADMINISTRATOR, AUDITOR},
    AuditCheckpoint: {CA_ADMINISTRATOR, AUDITOR},
    LoginKey: {AUDITOR},
    User: {AUDITOR},
    Group: {AUDITOR},
}
MAY_ADD: dict[type, set[str]] = {
    Campaign: WHO_MAY_ACT,
    Device: WHO_MAY_ACT,
    Issuer: {CA_ADMINISTRATOR},
    Profile: {CA_ADMINISTRATOR},
    Webhook: {CA_ADMINISTRATOR},
}
of_each_role = pytest.mark.parametrize("role", ROLES)


def member(*roles: str, **more) -> User:
    """Somebody of these roles."""
    user = User.objects.create_user("mia", password="a-password", is_staff=True, **more)
    user.groups.set(Group.objects.filter(name__in=roles))
    assert user.groups.count() == len(roles)
    return user


def done(before):
    """Whether anything was done, beside somebody's coming and going."""
    quiet = ("auth.User", "axes.AccessAttempt")

    def facts(of):
        return {
            label: [row for row in rows if str(row.get("kind")).split(".")[0] != "login"]
            for label, rows in of.items()
            if label not in quiet
        }

    return facts(everything()) != facts(before)


# --- Pages ----------------------------------------------------------------------------------------


@of_each_role
@pytest.mark.parametrize("model", MAY_SEE, ids=lambda model: model.__name__)
def test_a_role_sees_its_lists_and_pages_and_no_others(world, role, model):
    person = browser(member(role))
    expected = 200 if role in MAY_SEE[model] else 403
    row = model.objects.order_by("pk").first()
    for url in (changelist(model), page(row)):
        assert person.get(url).status_code == expected, url
    history = person.get(page(row, "history"))
    may_read = expected == 200 and (model is User or model is Group or role in MAY_SEE[AuditEvent])
    assert history.status_code == (403 if not may_read else 200 if model in (User, Group) else 302)


def test_every_list_of_the_console_is_in_the_table():
    for_devices_alone = {"DeviceGroup", "Label"}
    assert {model for model in registered_models() if model.__name__ not in for_devices_alone} == set(MAY_SEE)


@of_each_role
def test_a_role_adds_what_is_its_own_to_add_and_nothing_else(world, role):
    person = browser(member(role))
    for model in MAY_SEE:
        expected = 200 if role in MAY_ADD.get(model, ()) else 403
        assert person.get(add(model)).status_code == expected, model
        if expected == 403:
            before = everything()
            assert person.post(add(model), name="made", username="made").status_code == 403, model
            assert not done(before)


@of_each_role
def test_a_role_changes_what_is_its_own_to_change_and_nothing_else(world, role):
    person = browser(member(role))
    before = everything()
    for model in MAY_SEE:
        if role not in MAY_ADD.get(model, ()):
            row = model.objects.order_by("pk").first()
            assert person.post(page(row), name="changed", username="changed").status_code == 403, model
            assert person.post(page(row, "delete"), post="yes").status_code == 403, model
    assert not done(before)


@of_each_role
def test_nobody_of_a_role_touches_issuers_by_url(world, role):
    person, before = browser(member(role)), everything()
    for view in ("change", "delete"):
        assert person.post(page(world.issuer, view), state="compromised", post="yes").status_code == 403
    assert not done(before)


# --- Actions --------------------------------------------------------------------------------------


@of_each_role
@pytest.mark.parametrize("deed", ACTIONS)
def test_an_action_is_offered_to_and_done_for_the_roles_that_may(world, role, deed):
    model, action, row, filled, is_done, _ = ACTIONS[deed]
    row = row(world)
    person = browser(member(role))
    may = role in WHO_MAY_ACT
    offered = f'value="{action}"' in person.get(changelist(model)).content.decode()
    assert offered is may
    before = everything()
    asked = person.act(model, action, row)
    if may:
        person.confirm(asked, changelist(model), **filled)
        assert is_done(row)
    else:
        person.act(model, action, row, confirmed="yes", **filled)
        assert not done(before)


@of_each_role
def test_a_token_is_made_by_the_roles_that_may(world, role):
    person, may = browser(member(role)), role in WHO_MAY_ACT
    offered = new_token(world.gate) in person.get(page(world.gate)).content.decode()
    assert offered is may
    filled = {"confirmed": "yes", "once": "one", **ONE_TOKEN}
    assert person.post(new_token(world.gate), **filled).status_code == (200 if may else 403)
    assert AuditEvent.objects.filter(kind="token.made", actor="administrator:mia").exists() is may


# --- Several roles, none, and nobody any more -----------------------------------------------------


def test_who_has_two_roles_may_do_what_either_may(world):
    person = browser(member(OPERATOR, AUDITOR))
    for model in MAY_SEE:
        assert person.get(changelist(model)).status_code == 200, model
    assert person.get(add(Device)).status_code == 200
    assert person.get(add(Profile)).status_code == 403
    assert person.post(page(world.profile), name="changed").status_code == 403


def test_who_has_no_role_sees_the_front_page_and_nothing_else(world):
    person = browser(member())
    assert person.get(reverse("admin:index")).status_code == 200
    for model in MAY_SEE:
        assert person.get(changelist(model)).status_code == 403, model
        assert person.get(page(model.objects.order_by("pk").first())).status_code == 403, model


def test_who_is_made_inactive_or_loses_the_role_may_nothing_from_the_next_request_on(world):
    mia = member(OPERATOR)
    person = browser(mia)
    assert person.get(changelist(Device)).status_code == 200
    mia.groups.clear()
    assert person.get(changelist(Device)).status_code == 403
    User.objects.filter(pk=mia.pk).update(is_active=False)
    assert person.get(changelist(Device)).status_code == 302


# --- Nobody makes himself more than he is ---------------------------------------------------------


@pytest.fixture
def climber(world):
    """A CA administrator who was given every permission on users and roles, and wants to be superuser."""
    mia = member(CA_ADMINISTRATOR)
    mia.user_permissions.set(Permission.objects.filter(content_type__app_label__in=("auth", "pki")))
    return browser(mia)


def test_permissions_on_users_make_nobody_a_superuser(climber, world):
    mia, admin = User.objects.get(username="mia"), User.objects.get(username="admin")
    key = LoginKey.objects.get()
    before, encoded = everything(), admin.password
    attempts = (
        (page(mia), {"username": "mia", "is_superuser": "on", "is_staff": "on", "is_active": "on"}),
        (page(admin), {"username": "admin", "is_active": ""}),
        (f"{changelist(User)}{admin.pk}/password/", {"password1": "n0w-mine!!", "password2": "n0w-mine!!"}),
        (f"{changelist(User)}{admin.pk}/add-login-key/", {"confirmed": "yes", "name": "x"}),
        (add(User), {"username": "eve", "password1": "n0w-mine!!", "password2": "n0w-mine!!"}),
        (page(Group.objects.get(name=OPERATOR)), {"name": OPERATOR, "permissions": "1"}),
        (page(Group.objects.get(name=OPERATOR), "delete"), {"post": "yes"}),
        (page(admin, "delete"), {"post": "yes"}),
    )
    for url, fields in attempts:
        assert climber.get(url).status_code in (200, 403), url
        assert climber.post(url, **fields).status_code == 403, url
    climber.act(LoginKey, "remove_selected", key, confirmed="yes")
    climber.act(User, "delete_selected", admin, post="yes")
    assert not done(before)
    admin.refresh_from_db()
    mia.refresh_from_db()
    assert (admin.password, admin.is_active, mia.is_superuser) == (encoded, True, False)


def test_an_auditor_sees_no_password_hash(world):
    person = browser(member(AUDITOR))
    admin = User.objects.get(username="admin")
    html = person.get(page(admin)).content.decode()
    assert admin.username in html
    assert admin.password not in html
    assert admin.password.split("$")[-1] not in html
    assert "add-login-key" not in html


def test_a_superuser_gives_and_takes_roles_and_it_is_on_record(ada, world):
    mia = member()
    operators = Group.objects.get(name=OPERATOR)
    form = {"username": "mia", "is_active": "on", "is_staff": "on", "groups": str(operators.pk)}
    joined = {"date_joined_0": "2026-01-01", "date_joined_1": "12:00:00"}
    assert ada.post(page(mia), **form, **joined).status_code == 302
    assert list(mia.groups.all()) == [operators]
    event = AuditEvent.objects.get(kind="user.changed")
    assert (event.actor, event.detail["name"], event.detail["roles"]) == (
        "administrator:admin",
        "mia",
        [OPERATOR],
    )
    ada.post(f"{changelist(User)}{mia.pk}/password/", password1="n0w-hers!!", password2="n0w-hers!!")
    mia.refresh_from_db()
    assert mia.check_password("n0w-hers!!")
    assert AuditEvent.objects.filter(kind="user.changed").count() == 2
    assert "n0w-hers!!" not in str(list(AuditEvent.objects.values()))


def test_a_role_is_deleted_only_when_nobody_has_it(ada, world):
    member(OPERATOR)
    used, unused = Group.objects.get(name=OPERATOR), Group.objects.get(name=VIEWER)
    assert ada.post(page(used, "delete"), confirmed="yes").status_code == 403
    ada.act(Group, "delete_selected", used, unused, post="yes")
    assert Group.objects.filter(pk__in=[used.pk, unused.pk]).count() == 2
    assert ada.post(page(unused, "delete"), confirmed="yes").status_code == 302
    assert not Group.objects.filter(pk=unused.pk).exists()
    assert AuditEvent.objects.filter(kind="group.deleted").exists()


def test_there_is_no_permission_on_warnings_which_have_no_page(world):
    assert not Permission.objects.filter(content_type__model="expirywarning").exists()
    assert Permission.objects.filter(codename="view_renewal").exists(), "a device's page asks for it"
