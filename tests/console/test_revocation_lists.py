"""Revocation lists and OCSP responders in the console: what is shown, to whom, and “Publish now”."""

import re
import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest
import time_machine
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.contrib.auth.models import Group, User
from django.contrib.messages import get_messages
from django.db import connection
from django.urls import reverse

from pki.keystore import keystore
from pki.models import (
    FULL,
    AuditEvent,
    Issuer,
    Responder,
    Revocation,
    RevocationList,
    StaleList,
)
from pki.services.looking import list_standings
from pki.services.publishing import publication
from pki.services.revoking import revocation
from pki.services.transactions import alone
from pki.templatetags.console import colons
from tests.console.browser import changelist, page
from tests.console.conftest import browser, staff
from tests.console.test_dashboard import text_of
from tests.services.cast import DAY, SECOND, TESTER, everything, issue, registered, responder_of
from tests.services.lists import publish

PUBLISHERS = {"Operator", "CA administrator"}
ROLES = ("Viewer", "Operator", "CA administrator", "Auditor")


def told(response):
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


def of_role(role):
    user = User.objects.create_user("somebody", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return browser(user)


def numbers():
    rows = RevocationList.objects.order_by("pk")
    return dict(rows.values_list("pk", "number"))


def list_of(issuer, shard=FULL):
    return RevocationList.objects.get(issuer=issuer, shard=shard)


def stop_publication(issuer, now, *, for_seconds):
    """Let a list wait, as if nobody made any."""
    StaleList.objects.create(issuer=issuer, shard=FULL, at=now - timedelta(seconds=for_seconds))


@contextmanager
def held_elsewhere(what):
    """A lock that another thread holds."""
    held, done = threading.Event(), threading.Event()

    def hold():
        try:
            with alone(what) as free:
                assert free
                held.set()
                done.wait(timeout=10)
        finally:
            connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert held.wait(timeout=10)
        yield
    finally:
        done.set()
        thread.join()


# --- The issuer's page ----------------------------------------------------------------------------


def test_an_issuers_page_shows_its_lists_and_its_responder(ada, world):
    response = ada.get(page(world.issuer))
    shown = text_of(response)
    for row in RevocationList.objects.filter(issuer=world.issuer):
        assert row.url in shown
        assert page(row) in response.content.decode()
    assert "Full list current" in shown
    assert "Shard 1 open current" in shown
    assert colons(world.responder.serial)[:23] in shown
    assert "P-256 this one" in shown


def open_shards(issuer, first, last, now):
    RevocationList.objects.bulk_create(
        RevocationList(issuer=issuer, shard=shard, url=f"http://x/{shard}", opened_at=now)
        for shard in range(first, last)
    )


def test_the_full_list_comes_first_then_the_open_shard_then_the_newest_and_not_all(ada, world, now):
    open_shards(world.issuer, 2, 40, now)
    Issuer.objects.filter(pk=world.issuer.pk).update(open_shard=38)
    shards = [row.shard for row, _ in ada.get(page(world.issuer)).context["lists"]]
    assert shards[:4] == [FULL, 38, 39, 37]
    assert len(shards) == list_standings.SHOWN
    every = ada.get(changelist(RevocationList), issuer__id__exact=str(world.issuer.pk))
    assert [row.shard for row in every.context["cl"].result_list] == list(range(40))


def test_a_list_that_waits_to_be_made_anew_says_so_and_is_current_once_it_is(ada, world, now):
    revocation.revoke([world.certificate], Revocation.Reason.KEY_COMPROMISE, TESTER, now)
    words = {row.shard: standing.word for row, standing in ada.get(page(world.issuer)).context["lists"]}
    assert words == {FULL: "waiting", 1: "waiting"}
    publish(now + SECOND)
    words = {row.shard: standing.word for row, standing in ada.get(page(world.issuer)).context["lists"]}
    assert words == {FULL: "current", 1: "current"}


def test_an_issuer_without_a_responder_says_what_to_do(ada, world):
    root = Issuer.objects.get(parent=None)
    assert "at the first OCSP question" in text_of(ada.get(page(root)))


@pytest.mark.parametrize(
    ("state", "words"),
    [("compromised", "this CA is revoked"), ("retired", "issues nothing more"), ("active", "")],
)
def test_what_an_issuers_state_means_for_its_lists_is_said(ada, world, state, words):
    Issuer.objects.filter(pk=world.issuer.pk).update(state=state)
    note = ada.get(page(world.issuer)).context["revocation_note"]
    assert (words in note) if words else not note


def test_an_issuer_whose_key_is_on_another_node_says_so_and_cannot_be_published_here(ada, world, ca):
    for file in (ca / "keys").glob("issuer-*"):
        file.unlink()
    keystore.cache_clear()
    assert "not on this node" in ada.get(page(world.issuer)).context["revocation_note"]
    url, before = page(world.issuer, "publish"), numbers()
    response = ada.post(url, confirmed="yes")
    assert "on another node" in response.content.decode()
    assert numbers() == before


def test_who_may_not_see_lists_and_responders_does_not_see_them_on_the_issuers_page(world):
    somebody = browser(staff("somebody", "view_issuer"))
    response = somebody.get(page(world.issuer))
    assert response.status_code == 200
    assert world.list.url not in response.content.decode()
    assert colons(world.responder.serial)[:23] not in response.content.decode()
    for row in (world.list, world.responder):
        assert somebody.get(page(row)).status_code == 403


# --- Publish now ----------------------------------------------------------------------------------


def test_publish_now_asks_first_then_says_which_numbers_are_out_and_is_on_record(ada, world):
    url, before = page(world.issuer, "publish"), numbers()
    asked = ada.get(url)
    assert asked.status_code == 200
    assert numbers() == before, "asked first"
    done = ada.confirm(asked, url)
    assert (done.status_code, done["Location"]) == (302, page(world.issuer))
    for shard in (FULL, 1):
        row = list_of(world.issuer, shard)
        assert row.number == before[row.pk] + 1
        assert f"number {row.number}" in told(done)
    others = RevocationList.objects.exclude(issuer=world.issuer)
    assert all(row.number == before[row.pk] for row in others)
    events = AuditEvent.objects.filter(kind="crl.published", actor="administrator:admin")
    assert [event.detail["issuer"] for event in events] == [world.issuer.name] * 2


def test_an_issuers_lists_that_wait_are_published_too(ada, world, now):
    old = RevocationList.objects.create(issuer=world.issuer, shard=2, url="http://x/2", opened_at=now)
    Issuer.objects.filter(pk=world.issuer.pk).update(open_shard=3)
    third = RevocationList.objects.create(issuer=world.issuer, shard=3, url="http://x/3", opened_at=now)
    StaleList.objects.create(issuer=world.issuer, shard=2, at=now)
    before = numbers()
    ada.post(page(world.issuer, "publish"), confirmed="yes")
    after = numbers()
    assert {pk for pk in after if after[pk] > before[pk]} == {world.list.pk, old.pk, third.pk}


def test_lists_are_published_from_their_list_and_from_their_page(ada, world):
    before = numbers()
    asked = ada.act(RevocationList, "publish_selected", world.list)
    assert numbers() == before
    ada.confirm(asked, changelist(RevocationList))
    assert numbers() == {**before, world.list.pk: before[world.list.pk] + 1}
    done = ada.post(page(world.list, "publish"), confirmed="yes")
    assert done["Location"] == page(world.list)
    assert list_of(world.issuer).number == before[world.list.pk] + 2


def test_more_lists_than_a_browser_waits_for_are_refused(ada, world, now):
    open_shards(world.issuer, 2, 62, now)
    before = numbers()
    refused = ada.act(RevocationList, "publish_selected", *RevocationList.objects.all(), confirmed="yes")
    assert refused.status_code == 302
    assert "at most 50" in told(refused)
    assert numbers() == before


@pytest.mark.parametrize("role", ROLES)
def test_who_may_publish_does_by_the_button_and_who_may_not_does_not_by_a_url_typed_by_hand(world, role):
    person, may = of_role(role), role in PUBLISHERS
    before = everything()
    for row, offered_on in ((world.issuer, page(world.issuer)), (world.list, page(world.list))):
        url = page(row, "publish")
        assert (url in person.get(offered_on).content.decode()) is may
        assert person.get(url).status_code == (200 if may else 403)
        assert person.post(url, confirmed="yes").status_code == (302 if may else 403)
    listed = person.get(changelist(RevocationList)).content.decode()
    assert ('value="publish_selected"' in listed) is may
    person.act(RevocationList, "publish_selected", world.list, confirmed="yes")
    published = AuditEvent.objects.filter(kind="crl.published", actor="administrator:somebody")
    assert published.exists() is may
    if not may:
        assert {**everything(), "pki.AuditEvent": 0} == {**before, "pki.AuditEvent": 0}


def test_who_may_publish_but_not_see_lists_does_neither(world):
    somebody = browser(staff("somebody", "view_issuer", "change_revocationlist"))
    before = numbers()
    assert page(world.issuer, "publish") not in somebody.get(page(world.issuer)).content.decode()
    for row in (world.issuer, world.list):
        assert somebody.post(page(row, "publish"), confirmed="yes").status_code == 403
    assert numbers() == before


def test_a_page_of_somebody_else_publishes_nothing(unprotected, world):
    before = numbers()
    for url in (page(world.issuer, "publish"), page(world.list, "publish")):
        assert unprotected.post(url, confirmed="yes").status_code == 403
    unprotected.act(RevocationList, "publish_selected", world.list, confirmed="yes")
    assert numbers() == before


def test_while_somebody_else_makes_lists_it_is_said_to_try_again(ada, world, monkeypatch):
    monkeypatch.setattr(publication, "PATIENCE", 0.0)
    before = numbers()
    url = page(world.issuer, "publish")
    with held_elsewhere("shards"), held_elsewhere(f"full-list-{world.issuer.key_identifier}"):
        response = ada.post(url, confirmed="yes")
    assert response.status_code == 200
    assert "try again" in response.content.decode()
    assert numbers() == before


@pytest.mark.parametrize("key", ["0", "999999", "nonsense", "9" * 30])
def test_a_list_that_is_not_there_is_no_error_of_the_server(ada, world, key):
    for model in (RevocationList, Responder):
        assert ada.get(f"{changelist(model)}{key}/change/").status_code in (302, 404)
        assert ada.get(f"{changelist(model)}{key}/download/pem/").status_code in (302, 404)
    for model in (RevocationList, Issuer):
        assert ada.post(f"{changelist(model)}{key}/publish/", confirmed="yes").status_code in (302, 404)


# --- A list's page, and its files -----------------------------------------------------------------


def download(person, row, form):
    return person.get(reverse(f"admin:pki_{row._meta.model_name}_download", args=[row.pk, form]))


@pytest.mark.parametrize(("form", "load", "suffix"), [
    ("der", x509.load_der_x509_crl, ".crl"),
    ("pem", x509.load_pem_x509_crl, ".crl.pem"),
])  # fmt: skip
def test_a_list_is_downloaded_as_it_was_signed(viewer, world, form, load, suffix):
    for shard, name in ((FULL, "full_list"), (1, "shard_1")):
        row = list_of(world.issuer, shard)
        answer = download(viewer, row, form)
        crl = load(answer.content)
        assert crl.public_bytes(Encoding.DER) == bytes(row.der)
        assert crl.get_revoked_certificate_by_serial_number(int(world.doomed.serial, 16))
        words = answer["Content-Disposition"].partition("filename=")[2].strip('"')
        assert words.startswith("Hatchery_Issuing_CA")
        assert words.endswith(f"-{name}-{row.number}{suffix}")


def test_the_delta_of_a_full_list_is_downloaded_and_offered_there_alone(viewer, world):
    row, shard = list_of(world.issuer, FULL), list_of(world.issuer, 1)
    answer = download(viewer, row, "delta")
    assert answer.content == bytes(row.delta_der)
    crl = x509.load_der_x509_crl(answer.content)
    assert crl.extensions.get_extension_for_class(x509.DeltaCRLIndicator)
    assert f"-full_list-{row.number}.delta.crl" in answer["Content-Disposition"]
    assert "/download/delta/" in viewer.get(page(row)).content.decode()
    assert "/download/delta/" not in viewer.get(page(shard)).content.decode()
    assert download(viewer, shard, "delta").status_code == 404


def test_a_responders_page_calls_them_as_the_menu_does(viewer, world):
    shown = viewer.get(page(world.responder)).content.decode()
    assert not re.search(r">\s*Responders\s*<", shown)
    assert len(re.findall(r">\s*OCSP responders\s*<", shown)) >= 2, "the menu and the way up"


def test_what_there_is_not_is_not_downloaded(ada, world, now):
    unsigned = RevocationList.objects.create(issuer=world.issuer, shard=9, url="http://x/9", opened_at=now)
    assert download(ada, unsigned, "der").status_code == 404
    assert download(ada, world.list, "pkcs12").status_code == 404
    shown = ada.get(page(unsigned))
    assert "Nothing yet" in text_of(shown)
    assert "/download/" not in shown.content.decode()


def test_a_lists_page_leads_to_the_revocations_of_its_certificates_and_no_others(ada, world, now):
    other = issue(registered("elsewhere-1", now), now)
    Issuer.objects.filter(pk=world.issuer.pk).update(open_shard=2)
    RevocationList.objects.create(issuer=world.issuer, shard=2, url="http://x/2", opened_at=now)
    world.issuer.refresh_from_db()
    in_second = issue(registered("second-1", now), now)
    revocation.revoke([in_second, other], Revocation.Reason.SUPERSEDED, TESTER, now)
    assert in_second.crl_shard == 2
    for shard, expected in ((1, {world.doomed, other}), (2, {in_second})):
        link = ada.get(page(list_of(world.issuer, shard))).context["revocations"]
        rows = ada.get(link).context["cl"].result_list
        assert {row.certificate for row in rows} == expected
    link = ada.get(page(list_of(world.issuer))).context["revocations"]
    assert set(ada.get(link).context["cl"].result_list) == {world.doomed, other, in_second}


@pytest.mark.parametrize("value", ["x", "-1", "9" * 30, "1,2", "٣", ""])
def test_a_shard_that_makes_no_sense_is_no_error_of_the_server(ada, world, value):
    assert ada.get(changelist(Revocation), list=value).status_code in (200, 302)


def test_a_responders_page_shows_its_certificate_and_gives_it_away(viewer, world):
    shown = text_of(viewer.get(page(world.responder)))
    assert "Its key is on this node" in shown
    assert "sign OCSP answers" in shown
    assert colons(world.responder.serial) in shown
    got = x509.load_pem_x509_certificate(download(viewer, world.responder, "pem").content)
    assert got == world.responder.certificate


def test_no_page_of_lists_and_responders_names_a_keys_file(ada, world):
    for row in (world.responder, world.list, world.issuer):
        assert world.responder.key_reference not in ada.get(page(row)).content.decode()
    assert world.responder.key_reference not in ada.get(changelist(Responder)).content.decode()


# --- How it stands --------------------------------------------------------------------------------


def word_of(row, now):
    row = RevocationList.objects.select_related("issuer").get(pk=row.pk)
    return list_standings.of(row, list_standings.waiting(now), now).word


def test_a_list_is_overdue_after_a_minute_and_out_of_date_after_its_next_update(world, now):
    row = world.list
    row.refresh_from_db()
    assert word_of(row, now) == "current"
    assert word_of(row, row.renew_at + 59 * SECOND) == "current"
    assert word_of(row, row.renew_at + 61 * SECOND) == "overdue"
    assert word_of(row, row.next_update - SECOND) == "overdue"
    assert word_of(row, row.next_update) == "out of date"
    assert word_of(row, world.issuer.not_after) == "final", "an issuer that has ended signs nothing"
    stop_publication(world.issuer, now, for_seconds=59)
    assert word_of(row, now) == "waiting"
    assert word_of(row, now + 2 * SECOND) == "overdue"


def test_a_full_list_that_takes_long_to_sign_may_wait_longer(world, now):
    RevocationList.objects.filter(pk=world.list.pk).update(milliseconds=10_000)
    stop_publication(world.issuer, now, for_seconds=200)
    assert word_of(world.list, now) == "waiting"
    assert list_standings.standing_still(now) == []
    assert word_of(world.list, now + 101 * SECOND) == "overdue"
    assert [each.name for each in list_standings.standing_still(now + 101 * SECOND)] == [world.issuer.name]


def test_a_list_that_was_never_made_says_so(world, now):
    row = RevocationList.objects.create(issuer=world.issuer, shard=9, url="http://x/9", opened_at=now)
    StaleList.objects.create(issuer=world.issuer, shard=9, at=now)
    assert word_of(row, now) == "not made yet"
    assert word_of(row, now + 61 * SECOND) == "overdue"


def test_the_filters_find_what_they_say(ada, world, now):
    def found(**query):
        return set(ada.get(changelist(RevocationList), **query).context["cl"].result_list)

    every = set(RevocationList.objects.all())
    assert found() == every
    assert found(kind="full") == {row for row in every if row.shard == FULL}
    assert found(kind="shard") == {row for row in every if row.shard != FULL}
    assert found(issuer__id__exact=str(world.issuer.pk)) == {
        row for row in every if row.issuer == world.issuer
    }
    assert found(overdue="yes") == set()
    stop_publication(world.issuer, now, for_seconds=61)
    assert found(overdue="yes") == {world.list}
    RevocationList.objects.filter(shard=1).update(renew_at=now - 61 * SECOND)
    assert found(overdue="yes") == {world.list, *(row for row in every if row.shard == 1)}


# --- The dashboard --------------------------------------------------------------------------------


def warnings_of(person):
    return person.get(reverse("admin:index")).context["warnings"]


def list_warnings(browser):
    return [each for each in warnings_of(browser) if "/revocationlist/" in each.link]


def test_the_dashboard_warns_of_an_issuer_whose_lists_stand_still_and_leads_to_them(ada, world, now):
    assert list_warnings(ada) == []
    stop_publication(world.issuer, now, for_seconds=30)
    assert list_warnings(ada) == [], "it is made within seconds"
    stop_publication(world.issuer, now, for_seconds=90)
    (warning,) = list_warnings(ada)
    assert warning.level == "warning"
    assert world.issuer.name in warning.sentence
    assert "worker" in warning.action
    assert list(ada.get(warning.link).context["cl"].result_list) == [world.list]


def test_the_dashboard_warns_of_lists_past_their_next_update_once_for_each_issuer(ada, world, now):
    with time_machine.travel(now + timedelta(hours=13), tick=False):
        late = browser(User.objects.get(username="admin"))
        assert [warning.level for warning in list_warnings(late)] == ["warning", "warning"]
    with time_machine.travel(now + 2 * DAY, tick=False):
        late = browser(User.objects.get(username="admin"))
        assert [warning.level for warning in list_warnings(late)] == ["danger", "danger"]
        for warning in list_warnings(late):
            assert "relying parties refuse it" in warning.sentence
            assert late.get(warning.link).context["cl"].result_list


def test_the_dashboard_warns_of_a_responder_that_has_ended_until_there_is_another(world, now):
    ended = world.responder.not_after
    with time_machine.travel(ended + SECOND, tick=False):
        carl = browser(staff("carl", "view_responder"))
        (warning,) = warnings_of(carl)
        assert world.issuer.name in warning.sentence
        assert list(carl.get(warning.link).context["cl"].result_list) == [world.responder]
        responder_of(world.issuer, ended + SECOND)
        assert warnings_of(carl) == []


def test_an_issuer_that_has_ended_is_no_reason_to_make_lists(world, now):
    ended = world.issuer.not_after
    late = [each.name for each in list_standings.standing_still(ended - DAY)]
    assert world.issuer.name in late
    assert world.issuer.name not in [each.name for each in list_standings.standing_still(ended + DAY)]


# --- A certificate's page, and the words around a revocation --------------------------------------


def test_a_certificates_page_names_its_list_and_its_responder(ada, world):
    shown = ada.get(page(world.certificate))
    assert page(list_of(world.issuer, 1)) in shown.content.decode()
    assert list_of(world.issuer, 1).url in shown.content.decode()
    assert "/ocsp" in text_of(shown)
    assert shown.context["listed"] == ""


def test_a_revoked_certificates_page_says_whether_the_list_names_it_by_now(ada, world, now):
    assert "number" in ada.get(page(world.doomed)).context["listed"]
    revocation.revoke([world.certificate], Revocation.Reason.KEY_COMPROMISE, TESTER, now)
    assert "within seconds" in ada.get(page(world.certificate)).context["listed"]
    with time_machine.travel(now + timedelta(minutes=5), tick=False):
        late = browser(User.objects.get(username="admin"))
        assert "not made as it should be" in late.get(page(world.certificate)).context["listed"]
    publish(now + SECOND)
    number = list_of(world.issuer, 1).number
    assert f"number {number}" in ada.get(page(world.certificate)).context["listed"]


def test_it_is_said_before_and_after_a_revocation_when_others_see_it(ada, world, settings):
    settings.PORTAL_CRL_SECONDS, settings.PORTAL_OCSP_SECONDS, settings.PORTAL_STATUS_MAX_AGE = 7200, 600, 7
    url = page(world.certificate, "revoke")
    asked = ada.get(url)
    for words in ("7 seconds", "within 5 seconds", "2 hours", "10 minutes"):
        assert words in text_of(asked)
    done = ada.confirm(asked, url, reason="keyCompromise")
    for words in ("Revoked 1 certificate.", "within 5 seconds", "2 hours", "10 minutes"):
        assert words in told(done)


def test_declaring_a_ca_compromised_says_what_others_see_of_it(ada, world):
    asked = text_of(ada.get(page(world.issuer, "compromised")))
    assert "cACompromise" in asked
    root = text_of(ada.get(page(Issuer.objects.get(parent=None), "compromised")))
    assert "No list can revoke a root" in root
