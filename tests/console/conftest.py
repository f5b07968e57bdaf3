"""A console with something to see, and three people who see more or less of it."""

from types import SimpleNamespace

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.test.client import ClientHandler

from pki.models import (
    FULL,
    Device,
    DeviceGroup,
    EnrollmentRequest,
    Issuer,
    Profile,
    Revocation,
    RevocationList,
)
from pki.services.auditing import sealing
from pki.services.enrolling import approval, tokens
from pki.services.fleet import devices, labels
from pki.services.people import logins
from pki.services.revoking import revocation
from tests import snapshots
from tests.console.browser import Browser
from tests.services.cast import (
    DAY,
    TESTER,
    Gadget,
    change_state,
    issue,
    pattern_token,
    registered,
    responder_of,
    set_policy,
)
from tests.services.lists import publish
from tests.upkeep import bundled, given_up, led, renewed


@pytest.fixture
def world(ca, now):
    """At least one of everything, in every state that a page may have to show."""
    return snapshots.made("world", ca, now, lambda: _world(now), on="ca")


def _world(now):
    door, gate = registered("door-1", now), registered("gate-1", now)
    group = DeviceGroup(name="berlin", description="The house in Berlin")
    labels.save_group(group, ["name"], TESTER, now)
    labels.join(Device.objects.filter(pk=door.pk), group, TESTER, now)
    labels.set_labels(door, ["site=berlin"], TESTER, now)
    certificate, doomed, other = issue(door, now), issue(door, now), issue(gate, now)
    issue(door, now - 60 * DAY)  # expired
    revocation.revoke([doomed], Revocation.Reason.SUPERSEDED, TESTER, now)
    change_state(registered("suspended-1", now), "suspended", now)
    change_state(registered("retired-1", now), "retired", now)

    secret, usable = tokens.make(TESTER, now, door.profile, device=door)
    _, cancelled = tokens.make(TESTER, now, door.profile, device=gate)
    tokens.cancel(cancelled, TESTER, now)
    pattern_token("lamp-*", now - 2 * DAY)  # expired
    Gadget("lamp-1").enroll(pattern_token("lamp-*", now), now)  # used up

    set_policy(Profile.Policy.APPROVAL)
    waiting = Gadget("sensor-1").enroll(None, now)
    also_waiting = Gadget("sensor-2").enroll(None, now)
    rejected = Gadget("sensor-3").enroll(None, now)
    approval.reject(rejected.pk, "We do not know it.", TESTER, now)
    set_policy(Profile.Policy.TOKEN)
    with pytest.raises(revocation.Refusal):
        Gadget("<script>alert(1)</script>").enroll(secret, now)
    publish(now)
    responder = responder_of(Issuer.objects.get(parent__isnull=False), now)
    logins.add_key(User.objects.get(username="admin"), other, "Ada's laptop", TESTER, now)
    campaign = led(door, now)
    delivery = given_up(now)
    renewed(doomed, certificate, now)
    sealing.seal(now)
    return SimpleNamespace(
        campaign=campaign,
        delivery=delivery,
        webhook=delivery.webhook,
        bundle=bundled(now),
        door=door,
        group=group,
        gate=gate,
        certificate=certificate,
        doomed=doomed,
        other=other,
        secret=secret,
        token=usable,
        waiting=waiting,
        also_waiting=also_waiting,
        refused=EnrollmentRequest.objects.get(state="refused"),
        issuer=Issuer.objects.get(parent__isnull=False),
        profile=devices.default_profile(),
        revocation=Revocation.objects.get(),
        list=RevocationList.objects.get(issuer__parent__isnull=False, shard=FULL),
        responder=responder,
        event=door.events.order_by("pk").first(),
    )


# Making one reads every static file's name and date; they do not change between tests.
HANDLERS: dict[bool, ClientHandler] = {}


def browser(user: User | None, *, enforce_csrf_checks: bool = False) -> Browser:
    client = Client(enforce_csrf_checks=enforce_csrf_checks)
    client.handler = HANDLERS.setdefault(enforce_csrf_checks, client.handler)
    if user is not None:
        client.force_login(user)
    return Browser(client)


def staff(name: str, *permissions: str) -> User:
    """A member of staff who may do this, `view_device` and so on, in the app pki."""
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(
        Permission.objects.filter(content_type__app_label="pki", codename__in=permissions)
    )
    return user


@pytest.fixture
def ada(ca):
    """The administrator."""
    return browser(User.objects.get(username="admin"))


@pytest.fixture
def viewer(ca):
    """Somebody who may look at everything and change nothing."""
    views = Permission.objects.filter(content_type__app_label="pki", codename__startswith="view_")
    return browser(staff("viewer", *views.values_list("codename", flat=True)))


@pytest.fixture
def newcomer(ca):
    """A member of staff who was given no permission yet."""
    return browser(staff("newcomer"))


@pytest.fixture
def stranger(ca):
    """Nobody who is known."""
    return browser(None)


@pytest.fixture
def unprotected(ca):
    """The administrator's session, used by a page of somebody else: it cannot know the CSRF token."""
    return browser(User.objects.get(username="admin"), enforce_csrf_checks=True)
