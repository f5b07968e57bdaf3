"""The inbox: what waits and what was refused, why, what to do about it, and doing it."""

import re

import pytest
from cryptography import x509
from django.contrib.auth.models import Group, User
from django.contrib.messages import get_messages
from django.db import connection
from django.test.utils import CaptureQueriesContext

from pki.admin.inbox.advice import ADVICE
from pki.core.errors import Refusal
from pki.models import AuditEvent, Device, EnrollmentRequest, Profile
from pki.services.enrolling import approval, enrollment, waivers
from tests.clients import make_csr
from tests.console.browser import changelist, page
from tests.console.conftest import browser
from tests.server import ROOT
from tests.services.cast import (
    ADDRESS,
    DAY,
    ELSEWHERE,
    TESTER,
    Gadget,
    change_state,
    everything,
    issue,
    refused,
    registered,
    set_policy,
)

INBOX = changelist(EnrollmentRequest)
DECISIONS = {
    "approve": ("waiting", {}, "issued", "enrollment.approved"),
    "reject": ("waiting", {"message": "Not ours."}, "rejected", "enrollment.rejected"),
    "allow_once": ("knocking", {}, "issued", "enrollment.allowed_once"),
}
of_each_decision = pytest.mark.parametrize(
    ("verb", "row", "filled", "state", "kind"),
    [(verb, *rest) for verb, rest in DECISIONS.items()],
    ids=DECISIONS,
)


@pytest.fixture
def knocking(world, now):
    """A device that sent no token; it is on record."""
    gadget = Gadget("gate-1")
    with pytest.raises(Refusal):
        gadget.enroll(None, now)
    world.knocking = EnrollmentRequest.objects.get(code="token_missing")
    world.gadget = gadget
    return world.knocking


def told(response):
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


def listed(response):
    return {row.pk for row in response.context["cl"].result_list}


def of(**kind):
    return {row.pk for row in EnrollmentRequest.objects.filter(**kind)}


def html_of(response):
    assert response.status_code == 200
    return response.content.decode()


# --- The list -------------------------------------------------------------------------------------


def test_the_inbox_shows_first_what_waits(ada, world, knocking):
    assert listed(ada.get(INBOX)) == of(state="waiting") != set()


@pytest.mark.parametrize("state", ["waiting", "refused", "rejected", "issued"])
def test_a_tab_shows_the_requests_of_its_state(ada, world, knocking, state):
    response = ada.get(INBOX, state__exact=state)
    assert listed(response) == of(state=state) != set()
    assert f'<a href="?state__exact={state}" aria-current="page">' in html_of(response)


def test_a_tab_shows_all_and_nonsense_shows_what_waits(ada, world, knocking):
    assert listed(ada.get(INBOX, state__exact="all")) == of()
    assert listed(ada.get(INBOX, state__exact="nonsense")) == of(state="waiting")


def test_a_row_says_which_rule_was_broken_and_what_to_do(ada, world, knocking):
    html = html_of(ada.get(INBOX, state__exact="refused"))
    for words in ("token_missing", ADVICE["token_missing"].rule, ADVICE["token_missing"].to_do, ADDRESS):
        assert words.replace("'", "&#x27;") in html


def test_a_rule_that_is_chosen_finds_what_was_refused_by_it(ada, world, knocking):
    for query in ({}, {"state__exact": "all"}, {"state__exact": "refused"}):
        assert listed(ada.get(INBOX, code="token_missing", **query)) == {knocking.pk}
    assert listed(ada.get(INBOX, code="key_in_use")) == set()


def test_a_search_looks_for_names_and_addresses_in_every_state(ada, world, knocking, now):
    with pytest.raises(Refusal):
        Gadget("far-away").enroll(None, now, address="2001:db8::7")
    assert listed(ada.get(INBOX, q="gate")) >= {knocking.pk}
    assert listed(ada.get(INBOX, q="gate")) == of(name__startswith="gate")
    assert listed(ada.get(INBOX, q="2001:db8::7")) == of(name="far-away")
    assert listed(ada.get(INBOX, q=" 2001:0db8:0::7 ")) == of(name="far-away")
    assert listed(ada.get(INBOX, q=ADDRESS)) == of(address=ADDRESS)


def test_an_empty_inbox_says_what_comes_here(ada):
    assert "Nothing waits for you" in html_of(ada.get(INBOX))
    for state in ("refused", "rejected", "issued", "all"):
        assert 'class="notice' in html_of(ada.get(INBOX, state__exact=state))


@pytest.mark.parametrize("query", [{}, {"state__exact": "refused"}, {"state__exact": "all"}, {"q": "gate"}])
def test_a_list_asks_as_much_for_many_rows_as_for_few(ada, world, knocking, now, query):
    ada.get(INBOX, **query)
    with CaptureQueriesContext(connection) as few:
        ada.get(INBOX, **query)
    for number in range(20):
        with pytest.raises(Refusal):
            Gadget(f"gate-{number}").enroll(None, now)
    with CaptureQueriesContext(connection) as many:
        ada.get(INBOX, **query)
    assert len(many) <= len(few)


def plan(query):
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {query}")
        return " ".join(row[3] for row in cursor.fetchall())


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"state__exact": "refused"},
        {"state__exact": "all"},
        {"code": "token_missing"},
        {"q": "gate"},
        {"q": ADDRESS},
    ],
)
def test_no_list_reads_or_sorts_the_whole_table(ada, world, knocking, query):
    if connection.vendor != "sqlite":
        pytest.skip("reads SQLite's plans")
    with CaptureQueriesContext(connection) as asked:
        ada.get(INBOX, **query)
    lists = [
        each["sql"] for each in asked if "ORDER BY" in each["sql"] and "enrollmentrequest" in each["sql"]
    ]
    assert lists
    for sql in lists:
        how = plan(sql)
        assert "USING INDEX" in how, how
        assert "USE TEMP B-TREE FOR ORDER BY" not in how, how


# Whoever is told this has not become a request.
NO_REQUEST = {"unavailable", "too_many_failures", "too_many_without_token"}


def test_there_is_advice_for_every_code_that_a_device_may_be_told():
    told_of = (ROOT / "docs" / "enrollment.md").read_text().partition("## Answers")[2]
    rows = re.findall(r"^\| \d{3} \| ([^|]+) \|", told_of, re.MULTILINE)
    codes = {code for row in rows for code in re.findall(r"`([a-z_]+)`", row)}
    assert len(codes) > 20
    assert codes - NO_REQUEST <= set(ADVICE)
    assert set(ADVICE) >= waivers.WAIVABLE


# --- The page of a request ------------------------------------------------------------------------


def test_the_page_shows_what_was_asked_and_what_would_come_of_it(ada, world, now):
    csr = make_csr(
        "gate-1",
        subject=[(x509.NameOID.ORGANIZATION_NAME, "Somebody & Co")],
        sans=[x509.DNSName("gate.example")],
    )
    with pytest.raises(Refusal):
        enrollment.enroll(csr, None, ADDRESS, now)
    html = html_of(ada.get(page(EnrollmentRequest.objects.get(code="token_missing"))))
    for shown in (
        "O=Somebody &amp; Co, CN=gate-1",
        "DNS:gate.example",
        "P-256",
        "subject O, SAN DNS:gate.example",
        ADDRESS,
        ADVICE["token_missing"].rule,
        "CN=gate-1",
    ):
        assert shown in html, shown


def test_the_page_leads_to_where_something_can_be_done(ada, viewer, world, knocking, now):
    html = html_of(ada.get(page(knocking)))
    assert f'href="{page(world.gate)}"' in html
    assert "New token for gate-1" in html
    assert "New token" not in html_of(viewer.get(page(knocking)))
    with pytest.raises(Refusal):
        Gadget("nobody-knows-1").enroll(None, now)
    assert "?name=nobody-knows-1" in html_of(
        ada.get(page(EnrollmentRequest.objects.get(name="nobody-knows-1")))
    )


def test_the_page_shows_similar_requests_and_what_they_share(ada, world, knocking, now):
    with pytest.raises(Refusal):
        enrollment.enroll(world.gadget.csr, "hatch_wrong", ELSEWHERE, now + DAY)
    other = EnrollmentRequest.objects.get(code="token_invalid", name="gate-1")
    html = html_of(ada.get(page(knocking)))
    assert f'href="{page(other)}"' in html
    assert "the key and the name" in html


def test_no_page_shows_the_csr_of_a_hostile_name_as_markup(ada, world):
    for row in EnrollmentRequest.objects.all():
        assert "<script>alert(1)" not in html_of(ada.get(page(row)))


BUTTONS = {
    "waiting": {"Approve", "Reject"},
    "knocking": {"Allow once"},
    "refused": set(),  # its name can never be a device's
}


@pytest.mark.parametrize(("row", "buttons"), BUTTONS.items(), ids=BUTTONS)
def test_the_page_offers_what_makes_sense_to_who_may(ada, viewer, world, knocking, row, buttons):
    def offered(person):
        html = html_of(person.get(page(getattr(world, row))))
        return set(re.findall(r'class="button[^"]*" href="[^"]+">([^<]+)<', html))

    assert offered(ada) == buttons
    assert offered(viewer) == set()


# --- Deciding -------------------------------------------------------------------------------------


@of_each_decision
def test_a_decision_asks_first_and_then_is_done_and_on_record(
    ada, world, knocking, verb, row, filled, state, kind
):
    row = getattr(world, row)
    url = page(row, verb)
    before = everything()
    asked = ada.get(url)
    html_of(asked)
    assert everything() == before
    answered = ada.confirm(asked, url, **filled)
    assert (answered.status_code, answered["Location"]) == (302, page(row))
    row.refresh_from_db()
    assert (row.state, row.decided_by.username) == (state, "admin")
    assert AuditEvent.objects.get(kind=kind, actor="administrator:admin").address == "127.0.0.1"


@of_each_decision
def test_a_decision_is_made_once(ada, world, knocking, verb, row, filled, state, kind):
    url = page(getattr(world, row), verb)
    asked = ada.get(url)
    ada.confirm(asked, url, **filled)
    before = everything()
    again = ada.confirm(asked, url, **filled)
    assert told(again)
    assert everything() == before


ROLES = {"Viewer": False, "Auditor": False, "Operator": True, "CA administrator": True}


@pytest.mark.parametrize(("role", "may"), ROLES.items(), ids=ROLES)
def test_by_url_too_only_who_may_decides(world, knocking, role, may):
    user = User.objects.create_user("bob", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    person = browser(user)
    for verb, (row, filled, state, _) in DECISIONS.items():
        row = world.also_waiting if verb == "reject" else getattr(world, row)
        url = page(row, verb)
        assert person.get(url).status_code == (200 if may else 403), verb
        person.post(url, confirmed="yes", **filled)
        before = row.state
        row.refresh_from_db()
        assert row.state == (state if may else before), verb


@pytest.mark.parametrize("who", ["newcomer", "stranger"])
def test_who_is_nobody_decides_nothing(request, world, knocking, who):
    person = request.getfixturevalue(who)
    before = everything()
    for verb, (row, filled, _, _) in DECISIONS.items():
        url = page(getattr(world, row), verb)
        assert person.get(url).status_code in (302, 403)
        assert person.post(url, confirmed="yes", **filled).status_code in (302, 403)
    assert everything() == before


def test_no_decision_is_made_by_a_get_or_for_a_page_of_somebody_else(ada, unprotected, world, knocking):
    before = everything()
    for verb, (row, filled, _, _) in DECISIONS.items():
        url = page(getattr(world, row), verb)
        ada.get(url, confirmed="yes", **filled)
        assert unprotected.post(url, confirmed="yes", **filled).status_code == 403
    assert everything() == before


def test_what_is_not_there_is_not_found(ada, world):
    for key in ("nonsense", "00000000-0000-0000-0000-000000000000", "1"):
        for verb in ("change", "approve", "reject", "allow-once"):
            assert ada.get(f"{INBOX}{key}/{verb}/").status_code == 404, (key, verb)


# --- Allowing once --------------------------------------------------------------------------------


def test_the_rule_that_is_waived_is_spelled_out_before(ada, world, knocking, now):
    html = html_of(ada.get(page(knocking, "allow_once")))
    assert "The rule «token_missing» is waived for this one CSR" in html
    assert "The certificate is for gate-1." in html
    with pytest.raises(Refusal):
        Gadget("new-1").enroll(None, now)
    html = html_of(ada.get(page(EnrollmentRequest.objects.get(name="new-1"), "allow_once")))
    assert "new-1 is not on record: it is registered under the profile device." in html


def test_a_device_whose_name_is_not_known_is_said_to_be(ada, world, now):
    with pytest.raises(Refusal):
        Gadget(None).enroll(None, now)
    row = EnrollmentRequest.objects.get(code="token_missing")
    url = page(row, "allow_once")
    asked = ada.get(url)
    assert "name is not known" in html_of(asked)
    assert "no name to issue to" in told(ada.confirm(asked, url))
    assert not Device.objects.filter(name="").exists()


def test_another_rule_that_is_broken_is_said_before_and_after(ada, world, knocking, now):
    url = page(knocking, "allow_once")
    Profile.objects.filter(name="device").update(key_kinds=["RSA"])
    asked = ada.get(url)
    assert "for another reason: The key is P-256; this profile allows RSA." in html_of(asked)
    assert "this profile allows RSA" in told(ada.confirm(asked, url))
    knocking.refresh_from_db()
    assert knocking.state == "refused"


def test_a_rule_that_is_never_waived_is_said_to_be(ada, world):
    url = page(world.refused, "allow_once")
    asked = ada.get(url)
    assert "never waived" in html_of(asked)
    assert "never waived" in told(ada.confirm(asked, url))


def test_allowing_needs_a_recent_login(ada, world, knocking, settings):
    settings.PORTAL_RECENT_LOGIN_SECONDS = -1
    url = page(knocking, "allow_once")
    before = everything()
    assert ada.confirm(ada.get(url), url).status_code == 200
    assert everything() == before


def test_what_was_allowed_says_so(ada, world, knocking):
    url = page(knocking, "allow_once")
    ada.confirm(ada.get(url), url)
    html = html_of(ada.get(page(knocking)))
    assert "gate-1: allowed once" in html
    assert "This one rule was waived for this one CSR by admin" in html
    assert "Allowed once." in html_of(ada.get(INBOX, state__exact="issued"))


# --- Approving ------------------------------------------------------------------------------------


def test_approving_what_was_suspended_meanwhile_explains_itself(ada, world, now):
    change_state(registered("sensor-1", now), "suspended", now)
    for asked, url in (
        (ada.act(EnrollmentRequest, "approve_selected", world.waiting, world.also_waiting), INBOX),
        (ada.get(page(world.waiting, "approve")), page(world.waiting, "approve")),
    ):
        answered = ada.confirm(asked, url)
        assert "sensor-1: This device is suspended" in told(answered)
        assert "Nothing was approved." in told(answered)
    assert of(state="waiting") == {world.waiting.pk, world.also_waiting.pk}


def test_the_page_of_a_waiting_request_tells_of_its_device(ada, world, now):
    door = registered("sensor-1", now)
    issue(door, now)
    change_state(door, "suspended", now)
    assert "sensor-1 (suspended)" in html_of(ada.get(page(world.waiting)))


def test_who_was_rejected_from_the_page_is_told_the_message(ada, world, now):
    set_policy(Profile.Policy.APPROVAL)
    gadget = Gadget("sensor-9")
    row = gadget.enroll(None, now)
    url = page(row, "reject")
    ada.confirm(ada.get(url), url, message="We do not know it.")
    with pytest.raises(enrollment.EnrollmentRejected, match="We do not know it"):
        gadget.enroll(None, now)
    assert refused()
    with pytest.raises(approval.NotWaiting):
        approval.approve(row.pk, TESTER, now)
