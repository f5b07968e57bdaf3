"""What a CA administrator does with issuers, and nobody else."""

from types import SimpleNamespace

import pytest
from django.contrib.auth.models import Group
from django.contrib.messages import get_messages
from django.db import connection
from django.urls import reverse

from pki.admin.authority import issuer_deeds
from pki.models import AuditEvent, Issuer
from pki.services.issuing import issuance
from pki.services.proving import status
from tests.console.browser import add, page
from tests.console.conftest import browser, staff
from tests.services.cast import Gadget, everything, issue, registered, token_for

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
    assert "Restart the server" in said
    assert "/ca/all.pem must fetch it again" in said
    assert ("copy keys/ to the other nodes" in said) is (connection.vendor == "postgresql")


@pytest.mark.parametrize("vendor", ["postgresql", "sqlite"])
def test_only_where_there_may_be_other_nodes_keys_are_to_be_copied(monkeypatch, vendor):
    monkeypatch.setattr(issuer_deeds, "connection", SimpleNamespace(vendor=vendor))
    assert ("copy keys/ to the other nodes" in issuer_deeds._what_then()) is (vendor == "postgresql")


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
        carol.post(deed(world.issuer, back), confirmed="yes")
        assert state_of(world.issuer) == "compromised"
    assert "Declare compromised" not in carol.get(page(world.issuer)).content.decode()


def test_who_declares_a_root_compromised_is_told_before_that_the_cas_below_fall_with_it(carol, world):
    root = world.issuer.parent
    asked = carol.get(deed(root, "compromised")).content.decode()
    assert f"The CAs below it are refused with it: {world.issuer}." in asked
    asked = carol.get(deed(root, "retire")).content.decode()
    assert f"The CAs below it stay as they are: {world.issuer}." in asked


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
    assert somebody.get(add(Issuer)).status_code == 403
    assert somebody.post(add(Issuer), **MADE).status_code == 403
    assert everything() == before


def test_the_parent_must_be_an_active_root(carol, world, now):
    for parent in (world.issuer, Issuer.objects.get(parent=None)):
        if parent.is_root:
            Issuer.objects.filter(pk=parent.pk).update(state="retired")
        response = carol.post(add(Issuer), **{**MADE, "parent": str(parent.pk)})
        assert response.status_code == 200
    assert not Issuer.objects.filter(name="Second Root").exists()
    assert issue(registered("door-9", now), now), "the issuing CA is as it was"
