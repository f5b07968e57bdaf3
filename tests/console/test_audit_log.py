"""The audit log in the console: found by what, when, who, from where; read as sentences."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import pki
from pki.admin.parts import searching
from pki.models import AuditEvent
from pki.services import audit
from pki.services.audit import Actor
from pki.services.auditing import kinds
from pki.templatetags.console import colons
from tests.console.browser import changelist, page
from tests.services.cast import issue, registered

NOON = datetime(2026, 5, 10, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def event(kind="device.amended", *, at=NOON, actor="administrator:grace", address=None, **more):
    return audit.record(kind, Actor(actor, address), at, **more)


def found(browser, **query):
    response = browser.get(changelist(AuditEvent), **query)
    assert response.status_code == 200
    return list(response.context["cl"].result_list)


def test_every_kind_that_is_recorded_has_words():
    source = "\n".join(path.read_text() for path in Path(pki.__file__).parent.rglob("*.py"))
    recorded = set(re.findall(r'audit\.record\(\s*"([a-z_.]+)"', source))
    assert len(recorded) > 10
    assert recorded <= {kind for group in kinds.GROUPS.values() for kind in group}


def test_a_kind_that_is_not_known_says_its_name(ada):
    other = event("moon.landed")
    assert kinds.in_words("moon.landed") == "moon.landed"
    assert ada.get(page(other)).status_code == 200


def test_events_are_found_by_their_kind(ada):
    amended, revoked = event(), event("certificate.revoked")
    assert found(ada, kind="device.amended") == [amended]
    assert found(ada, kind="certificate.revoked") == [revoked]


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ({"from": "2026-05-10"}, [2, 1]),
        ({"from": "2026-05-11"}, [2]),
        ({"to": "2026-05-10"}, [1, 0]),
        ({"to": "2026-05-09"}, [0]),
        ({"from": "2026-05-10", "to": "2026-05-10"}, [1]),
        ({"from": "2026-05-11", "to": "2026-05-09"}, []),
        ({"from": "nonsense", "to": "2026-02-31"}, [2, 1, 0]),
        ({"from": "2026-05-11", "to": "9999-12-31"}, [2]),
    ],
)
def test_days_are_whole_and_both_included(ada, query, shown):
    midnight = datetime(2026, 5, 10, tzinfo=UTC)
    second = timedelta(seconds=1)
    events = [event(at=at) for at in (midnight - second, midnight + DAY - second, midnight + DAY)]
    assert found(ada, kind="device.amended", **query) == [events[number] for number in shown]


def test_days_keep_the_kind_and_the_search(ada):
    event()
    html = ada.get(changelist(AuditEvent), kind="device.amended", q="grace", to="2026-05-10").content.decode()
    form = html[html.index('class="day-filter"') :].partition("</form>")[0]
    assert '<input type="hidden" name="kind" value="device.amended">' in form
    assert '<input type="hidden" name="q" value="grace">' in form
    assert 'name="to" value="2026-05-10"' in form
    assert 'name="from" value=""' in form


def test_an_event_is_found_by_who_where_and_what(ada, ca, now):
    door = registered("door-1", now)
    certificate = issue(door, now)
    by_grace = event(address="192.0.2.99")
    of_door = event("device.suspended", device=door, actor="shell:root")
    of_certificate = event("certificate.revoked", certificate=certificate, actor="shell:root")
    assert by_grace in found(ada, q="administrator:grace")
    assert found(ada, q="192.0.2.99") == [by_grace]
    assert of_door in found(ada, q="door-1")
    assert of_door in found(ada, q="doo")
    assert by_grace not in found(ada, q="door-1")
    serial = certificate.serial
    for writing in (serial, f"  {serial.upper()} ", colons(serial), str(int(serial, 16))):
        assert of_certificate in found(ada, q=writing)
        assert by_grace not in found(ada, q=writing)
    assert found(ada, q="nobody-is-called-so") == []


def test_an_administrator_is_found_by_the_beginning_of_the_name(ada, ca):
    mine = event(actor="administrator:admin")
    other = event(actor="administrator:grace")
    for words in ("adm", "administrator:adm", "admin"):
        assert mine in found(ada, q=words)
        assert other not in found(ada, q=words)


def test_of_words_that_mean_several_things_the_newest_of_each_are_found(ada, ca, now, monkeypatch):
    monkeypatch.setattr(searching, "NEWEST", 2)
    device = registered("adm-1", now)
    of_device = [event(device=device, at=NOON + number * DAY) for number in range(3)]
    of_admin = [event(actor="administrator:admin", at=NOON + number * DAY) for number in range(3)]
    shown = found(ada, q="adm", kind="device.amended")
    assert set(shown) == {*of_device[1:], *of_admin[1:]}
    assert [each.at for each in shown] == sorted((each.at for each in shown), reverse=True)


def test_an_events_page_tells_it_as_facts_and_escapes_them(ada, ca, now):
    door = registered("door-1", now)
    refused = event(
        "enrollment.refused", device=door, name="<script>alert(1)</script>", ignored=["subject O", "SAN x"]
    )
    html = ada.get(page(refused)).content.decode()
    assert "&lt;script&gt;alert(1)" in html
    assert "<script>alert(1)" not in html
    assert "subject O, SAN x" in html
    assert page(door) in html
    assert 'datetime="2026-05-10T12:00:00Z"' in html


@pytest.mark.parametrize(
    ("detail", "words"),
    [
        (
            {"code": "too_many_failures", "instead_of": "token_invalid"},
            "Enrollment refused, for too many were refused before (too_many_failures); without the limit, "
            "for token_invalid",
        ),
        (
            {"code": "too_many_without_token", "instead_of": "too_many_without_token"},
            "Enrollment refused, for too many came without a token (too_many_without_token)",
        ),
    ],
    ids=lambda each: each["code"] if isinstance(each, dict) else "",
)
def test_a_limit_that_was_reached_is_said_in_words(ada, ca, detail, words):
    assert f"{words}<" in ada.get(page(event("enrollment.limited", **detail))).content.decode()


def test_an_event_is_not_changed_by_a_post(ada, ca):
    noted = event()
    before = AuditEvent.objects.filter(pk=noted.pk).values().get()
    ada.post(page(noted), kind="other", actor="nobody")
    assert AuditEvent.objects.filter(pk=noted.pk).values().get() == before
