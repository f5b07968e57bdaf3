"""What a CA administrator does with issuers, and nobody else."""

import re
from datetime import timedelta
from html import unescape
from types import SimpleNamespace

import pytest
import time_machine
from django.contrib.auth.models import Group, User
from django.contrib.messages import get_messages
from django.db import connection
from django.urls import reverse

from pki.admin.authority import issuer_impact
from pki.models import AuditEvent, CrossCertificate, Device, Issuer
from pki.services.issuing import authorities, issuance, succession
from pki.services.proving import status
from pki.services.trusting import bundle, published_roots
from tests.console.browser import add, page
from tests.console.conftest import browser, staff
from tests.services.cast import SECOND, TESTER, Gadget, everything, issue, registered, token_for
from tests.services.renewing_cast import shows

MADE = {"name": "Second Root", "parent": "", "key": "P-384", "confirmed": "yes"}


@pytest.fixture
def carol(ca):
    user = staff("carol")
    user.groups.add(Group.objects.get(name="CA administrator"))
    return browser(user)


def deed(issuer, name):
    return reverse(f"admin:pki_issuer_{name}", args=[issuer.pk])


def state_of(issuer):
    return Issuer.objects.get(pk=issuer.pk).state


def test_an_issuer_is_made_below_a_root_or_as_one_and_on_record(carol, world):
    assert carol.get(add(Issuer)).status_code == 200
    assert carol.post(add(Issuer), **MADE).status_code == 302
    root = Issuer.objects.get(name="Second Root")
    assert root.is_root
    below = {**MADE, "name": "Second Issuing", "parent": str(root.pk), "key": "Ed25519"}
    assert carol.post(add(Issuer), **below).status_code == 302
    issuing = Issuer.objects.get(name="Second Issuing")
    issuing.certificate.verify_directly_issued_by(root.certificate)
    made = AuditEvent.objects.filter(kind="issuer.made", actor="administrator:carol")
    assert made.count() == 2


def test_who_made_an_issuer_is_told_what_is_to_be_done_then(carol, world):
    said = " ".join(str(each) for each in get_messages(carol.post(add(Issuer), **MADE).wsgi_request))
    assert "/ca/all.pem must fetch that again" in said
    assert ("Copy keys/ to the other nodes" in said) is (connection.vendor == "postgresql")


@pytest.mark.parametrize("vendor", ["postgresql", "sqlite"])
def test_only_where_there_may_be_other_nodes_keys_are_to_be_copied(monkeypatch, vendor):
    monkeypatch.setattr(issuer_impact, "connection", SimpleNamespace(vendor=vendor))
    assert ("Copy keys/ to the other nodes" in issuer_impact.of_making()) is (vendor == "postgresql")


@pytest.mark.parametrize(
    "wrong",
    [{"name": ""}, {"name": "x" * 65}, {"name": "ä" * 40}, {"key": "RSA-1024"}, {"parent": "999"}],
    ids=["no name", "a long name", "a name of many bytes", "a weak key", "an unknown parent"],
)
def test_what_cannot_be_an_issuer_is_said_and_makes_nothing(carol, world, wrong):
    before = everything()
    assert carol.post(add(Issuer), **{**MADE, **wrong}).status_code in (200, 302)
    assert everything() == before


def test_a_name_that_is_taken_makes_neither_an_issuer_nor_a_key(carol, world, ca):
    before = sorted((ca / "keys").iterdir())
    carol.post(add(Issuer), **{**MADE, "name": world.issuer.name})
    assert Issuer.objects.filter(name=world.issuer.name).count() == 1
    assert sorted((ca / "keys").iterdir()) == before


def test_a_retired_issuer_signs_nothing_until_it_is_taken_back(carol, world, now):
    asked = carol.get(deed(world.issuer, "retire"))
    assert "device, server" in asked.content.decode()
    assert state_of(world.issuer) == "active", "asked first"
    refused = carol.post(deed(world.issuer, "retire"), confirmed="yes").content.decode()
    assert "is in use" in refused
    assert state_of(world.issuer) == "active", "something depends on it"
    carol.post(deed(world.issuer, "retire"), confirmed="yes", confirmed_name=world.issuer.name)
    secret = token_for(world.gate, now)
    with pytest.raises(issuance.IssuerInactive):
        Gadget("gate-1").enroll(secret, now)
    assert status.standing(world.certificate.fingerprint, now), "what it signed stays good"

    carol.post(deed(world.issuer, "activate"), confirmed="yes")
    assert Gadget("gate-1").enroll(secret, now)
    kinds = AuditEvent.objects.filter(kind__startswith="issuer.", actor="administrator:carol")
    assert list(kinds.order_by("pk").values_list("kind", flat=True)) == ["issuer.retired", "issuer.active"]


def test_a_compromised_issuers_certificates_are_refused_at_once_and_for_good(carol, world, now):
    carol.post(deed(world.issuer, "compromised"), confirmed="yes")
    with pytest.raises(status.CompromisedIssuer):
        status.standing(world.certificate.fingerprint, now)
    for back in ("activate", "retire"):
        carol.post(deed(world.issuer, back), confirmed="yes", confirmed_name=world.issuer.name)
        assert state_of(world.issuer) == "compromised"
    assert "Declare compromised" not in carol.get(page(world.issuer)).content.decode()


def test_who_declares_a_root_compromised_is_told_before_that_the_cas_below_fall_with_it(carol, world):
    root = world.issuer.parent
    asked = carol.get(deed(root, "compromised")).content.decode()
    assert f"The CAs below it are refused with it: {world.issuer}." in asked
    asked = carol.get(deed(root, "retire")).content.decode()
    assert f"The CAs below it stay as they are: {world.issuer}." in asked


@pytest.mark.parametrize("name", ["", "hatchery", "the wrong one"])
def test_an_issuer_in_use_is_retired_only_once_its_name_was_typed(carol, world, name):
    before = everything()
    refused = carol.post(deed(world.issuer, "retire"), confirmed="yes", confirmed_name=name)
    assert "is in use" in refused.content.decode()
    assert everything() == before
    carol.post(deed(world.issuer, "retire"), confirmed="yes", confirmed_name=world.issuer.name)
    assert state_of(world.issuer) == "retired"


def test_an_issuer_on_which_nothing_depends_is_retired_without_its_name(carol, world):
    carol.post(add(Issuer), **MADE)
    root = Issuer.objects.get(name="Second Root")
    asked = carol.get(deed(root, "retire")).content.decode()
    assert "Nothing depends on it" in asked
    assert "confirmed_name" not in asked
    carol.post(deed(root, "retire"), confirmed="yes")
    assert state_of(root) == "retired"


def test_who_declares_an_issuer_compromised_is_told_before_how_many_devices_stop(carol, world, now):
    asked = carol.get(deed(world.issuer, "compromised")).content.decode()
    # door-1, gate-1 and lamp-1 have certificates that live, and all of these are of it.
    assert "3 devices have certificates of it alone" in asked
    succession.make_next(world.issuer, "P-256", TESTER, now)
    Device.objects.filter(pk=world.gate.pk).update(issuer=Issuer.objects.latest("pk"))
    other = issue(Device.objects.get(pk=world.gate.pk), now)
    asked = carol.get(deed(world.issuer, "compromised")).content.decode()
    assert "2 devices have certificates of it alone" in asked
    assert "1 device has been given another one as well, and did not show that one last" in asked
    shows(other, now)
    asked = carol.get(deed(world.issuer, "compromised")).content.decode()
    assert "1 device has shown another one last, of another issuer, to go on with." in asked
    assert "did not show that one last" not in asked
    assert "The campaign keys-door-1 moves devices away from it: 0 of 1 have moved" in asked


NEXT = {"key": "P-384", "name": "", "once": "one", "confirmed": "yes"}


def next_of(issuer):
    return page(issuer, "next")


def test_the_next_issuer_is_made_from_the_page_of_the_one_before_once(carol, world):
    assert next_of(world.issuer) in carol.get(page(world.issuer)).content.decode()
    assert "below the same root" in carol.get(next_of(world.issuer)).content.decode()
    assert not Issuer.objects.filter(predecessor=world.issuer).exists(), "asked first"
    first, second = (carol.post(next_of(world.issuer), **NEXT) for _ in range(2))
    made = Issuer.objects.get(predecessor=world.issuer)
    assert (first["Location"], second["Location"]) == (page(made), page(world.issuer))
    assert (made.parent, made.name) == (world.issuer.parent, f"{world.issuer} G2")
    html = carol.get(page(world.issuer)).content.decode()
    assert next_of(world.issuer) not in html, "it has one"
    assert page(made) in html
    assert page(world.issuer) in carol.get(page(made)).content.decode()
    assert AuditEvent.objects.filter(kind="issuer.made", actor="administrator:carol").count() == 1


def test_the_next_root_stands_beside_the_old_one_and_both_certify_each_other(carol, world):
    root = world.issuer.parent
    asked = carol.get(next_of(root)).content.decode()
    assert f"for each that is active below this one: {world.issuer}" in asked
    carol.post(next_of(root), **{**NEXT, "name": "Root of 2027"})
    made = Issuer.objects.get(name="Root of 2027")
    assert (made.predecessor, made.is_root) == (root, True)
    html = carol.get(page(made)).content.decode()
    for row in CrossCertificate.objects.filter(subject=made) | CrossCertificate.objects.filter(signer=made):
        assert page(row) in html
        assert carol.get(page(row)).status_code == 200
    assert CrossCertificate.objects.filter(subject=made, signer=root).exists()


def test_a_campaign_is_drafted_from_an_issuers_page_with_both_issuers_filled_in(ada, world, now):
    made = succession.make_next(world.issuer, "P-256", TESTER, now)
    link = unescape(
        re.search(r'href="([^"]+)">Move its devices', ada.get(page(world.issuer)).content.decode())[1]
    )
    form = ada.get(link).context["form"]
    assert (form["from_issuer"].value(), form["to_issuer"].value()) == (str(world.issuer.pk), str(made.pk))


def test_a_roots_page_leads_to_the_cas_below_it_whose_devices_can_move(ada, world, now):
    root = world.issuer.parent
    below = unescape(re.search(r'href="([^"]+)">Move its devices', ada.get(page(root)).content.decode())[1])
    assert list(ada.get(below).context["cl"].result_list) == [world.issuer]
    bare = authorities.make_root("Bare Root", "P-256", TESTER, now)
    assert "Move its devices" not in ada.get(page(bare)).content.decode()


@pytest.mark.parametrize("wrong", [{"key": "RSA-1024"}, {"name": "ä" * 40}, {"name": "taken"}])
def test_what_cannot_be_the_next_issuer_is_said_and_makes_nothing(carol, world, wrong):
    wrong = {"name": world.issuer.name} if wrong == {"name": "taken"} else wrong
    before = everything()
    assert carol.post(next_of(world.issuer), **{**NEXT, **wrong}).status_code == 200
    assert everything() == before


@pytest.mark.parametrize("role", ["Viewer", "Operator", "Auditor", None])
def test_nobody_else_does_any_of_it(world, role):
    user = staff("somebody", "view_issuer")
    if role:
        user.groups.add(Group.objects.get(name=role))
    somebody = browser(user)
    before = everything()
    shown = somebody.get(page(world.issuer)).content.decode()
    for name in ("retire", "activate", "compromised"):
        assert deed(world.issuer, name) not in shown
        assert somebody.get(deed(world.issuer, name)).status_code == 403
        assert somebody.post(deed(world.issuer, name), confirmed="yes").status_code == 403
    for url, fields in ((add(Issuer), MADE), (next_of(world.issuer), NEXT)):
        assert url not in shown
        assert somebody.get(url).status_code == 403
        assert somebody.post(url, **fields).status_code == 403
    assert everything() == before


def test_the_parent_must_be_an_active_root(carol, world, now):
    for parent in (world.issuer, Issuer.objects.get(parent=None)):
        if parent.is_root:
            Issuer.objects.filter(pk=parent.pk).update(state="retired")
        response = carol.post(add(Issuer), **{**MADE, "parent": str(parent.pk)})
        assert response.status_code == 200
    assert not Issuer.objects.filter(name="Second Root").exists()
    assert issue(registered("door-9", now), now), "the issuing CA is as it was"


# --- Publishing a root in the trust bundle --------------------------------------------------------


@pytest.fixture
def later(ca, now):
    return authorities.make_root("Later Root", "P-256", TESTER, now)


def test_a_root_is_published_and_taken_out_again_and_its_page_says_since_when(carol, later, now):
    bundle.publish_due(now)
    shown = carol.get(page(later)).content.decode()
    assert "Devices are not told to trust it." in shown
    assert deed(later, "publish_root") in shown
    assert deed(later, "withdraw_root") not in shown
    asked = carol.get(deed(later, "publish_root"))
    assert "can play our servers to every device" in asked.content.decode()
    assert Issuer.objects.get(pk=later.pk).published_at is None
    assert carol.confirm(asked, deed(later, "publish_root")).status_code == 302
    assert "The next trust bundle, within a minute, tells devices" in carol.get(page(later)).content.decode()
    bundle.publish_due(now + SECOND)
    shown = carol.get(page(later)).content.decode()
    assert "Devices are told to trust it, since" in shown
    assert deed(later, "publish_root") not in shown
    assert (
        carol.confirm(carol.get(deed(later, "withdraw_root")), deed(later, "withdraw_root")).status_code
        == 302
    )
    assert Issuer.objects.get(pk=later.pk).published_at is None
    events = AuditEvent.objects.filter(kind__in=["issuer.published", "issuer.withdrawn"])
    assert [event.actor for event in events] == ["administrator:carol"] * 2


def test_a_root_by_which_listeners_are_checked_has_no_such_deed(carol, world, now):
    root = world.issuer.parent
    shown = carol.get(page(root)).content.decode()
    assert deed(root, "publish_root") not in shown
    assert deed(root, "withdraw_root") not in shown
    said = carol.confirm(carol.get(deed(root, "withdraw_root")), deed(root, "withdraw_root")).content.decode()
    assert "devices check our listeners by it" in said


def test_an_issuing_ca_is_not_published(carol, world):
    assert deed(world.issuer, "publish_root") not in carol.get(page(world.issuer)).content.decode()
    said = carol.confirm(carol.get(deed(world.issuer, "publish_root")), deed(world.issuer, "publish_root"))
    assert "only an active root can" in said.content.decode()


@pytest.mark.parametrize("name", ["publish_root", "withdraw_root"])
def test_publishing_wants_the_permission_and_a_recent_login(carol, later, now, settings, name):
    if name == "withdraw_root":
        published_roots.publish(later, TESTER, now)
    operator = staff("eve")
    operator.groups.add(Group.objects.get(name="Operator"))
    before = Issuer.objects.values().get(pk=later.pk)
    for visit in (browser(operator).get, browser(operator).post):
        assert visit(deed(later, name)).status_code == 403
    carol_herself = User.objects.get(username="carol")
    carol_herself.set_password("a-password")
    carol_herself.save()
    carol = browser(carol_herself)
    late = now + timedelta(seconds=settings.PORTAL_RECENT_LOGIN_SECONDS + 60)
    with time_machine.travel(late, tick=False):
        asked = carol.get(deed(later, name))
        assert 'name="password_again"' in asked.content.decode()
        assert carol.confirm(asked, deed(later, name)).status_code == 200
        assert Issuer.objects.values().get(pk=later.pk) == before
        assert carol.confirm(asked, deed(later, name), password_again="a-password").status_code == 302
    assert Issuer.objects.values().get(pk=later.pk) != before
