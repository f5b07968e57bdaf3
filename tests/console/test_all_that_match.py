"""Acting on all devices that the search and the filters match: exactly those, and only when asked first."""

import pytest

from pki.admin.parts import matching
from pki.models import AuditEvent, Device, EnrollmentToken, Revocation
from pki.services.fleet import devices, labels
from tests.console.browser import changelist, fields_of
from tests.console.conftest import browser, staff
from tests.console.test_deeds import told
from tests.console.test_device_pages import seen, text
from tests.services.cast import TESTER, change_state, everything, issue, registered

LIST = changelist(Device)
BULBS = f"{LIST}?label=bulb"
PAGE = 50
OFFER = "Select all that match"


@pytest.fixture
def bulbs(world, now):
    """One more than three pages of devices with a label."""
    made = [registered(f"bulb-{number:03}", now) for number in range(3 * PAGE + 1)]
    labels.add(Device.objects.filter(pk__in=[bulb.pk for bulb in made]), ["bulb"], TESTER, now)
    return made


def ask(somebody, action, url=BULBS, **more):
    """Tick a row, take all that match, and choose an action."""
    row = Device.objects.order_by("-pk").first()
    fields = {"action": action, "index": "0", "_selected_action": [row.pk], "select_across": "1"}
    return somebody.post(url, **{**fields, **more})


def states(chosen):
    return set(Device.objects.filter(pk__in=[each.pk for each in chosen]).values_list("state", flat=True))


def test_all_that_match_is_offered_where_something_is_asked_for_and_more_follows(ada, bulbs):
    for url in (BULBS, f"{LIST}?q=bulb", f"{LIST}?state__exact=active", f"{BULBS}&p=2"):
        assert OFFER in text(ada.get(url)), url
    for url in (LIST, f"{LIST}?q=bulb-00", f"{LIST}?label=site%3Dberlin"):
        assert OFFER not in text(ada.get(url)), url
    assert not any("9999999999" in shown for shown in ada.pages)


def test_all_that_match_are_suspended_and_no_others(ada, world, bulbs):
    before = everything()
    asked = ask(ada, "suspend_selected")
    assert everything() == before
    assert "All 151 that matched" in text(asked)
    assert len(fields_of(asked.content.decode())["_selected_action"]) == 1
    done = ada.confirm(asked, BULBS)
    assert "Now suspended: 151 devices." in told(done)
    assert done["Location"] == BULBS
    assert states(bulbs) == {"suspended"}
    assert states([world.door, world.gate]) == {"active"}


def test_who_comes_to_match_while_somebody_reads_is_left_alone(ada, bulbs, now):
    asked = ask(ada, "suspend_selected")
    late = registered("bulb-late", now)
    labels.add(Device.objects.filter(pk=late.pk), ["bulb"], TESTER, now)
    gone = bulbs[0]
    labels.remove(Device.objects.filter(pk=gone.pk), ["bulb"], TESTER, now)
    ada.confirm(asked, BULBS)
    assert states([late, gone]) == {"active"}
    assert states(bulbs[1:]) == {"suspended"}


def test_the_impact_is_of_all_of_them_and_not_of_the_page(ada, bulbs, now):
    seen(bulbs[0], issue(bulbs[0], now), now)  # on the last page of the list
    assert "1 of these 151 devices were seen within a day, the last of them bulb-000" in text(
        ask(ada, "retire_selected")
    )
    assert "These 151 certificates" not in text(ask(ada, "revoke_selected"))
    assert "belongs to 1 device, last seen" in text(ask(ada, "revoke_selected"))


def test_all_certificates_of_all_that_match_are_revoked_and_no_others(ada, world, bulbs, now):
    wanted = {issue(bulb, now).pk for bulb in bulbs[:60]}
    before = set(Revocation.objects.values_list("pk", flat=True))
    done = ada.confirm(ask(ada, "revoke_selected"), BULBS, reason="superseded")
    assert "Revoked 60 certificates." in told(done)
    assert set(Revocation.objects.exclude(pk__in=before).values_list("certificate", flat=True)) == wanted


def test_many_are_labelled_in_batches(ada, bulbs, monkeypatch):
    monkeypatch.setattr(devices, "BATCH", 50)
    done = ada.confirm(ask(ada, "label_selected"), BULBS, labels="old")
    assert "Changed 151 devices." in told(done)
    assert Device.objects.filter(labels__name="old").count() == 151


def test_a_batch_that_is_refused_says_how_many_were_done(ada, bulbs, now, monkeypatch):
    """What was done before it stays; the batch itself is all or none."""
    monkeypatch.setattr(devices, "BATCH", 50)
    devices.change_states(bulbs, Device.State.SUSPENDED, TESTER, now)
    change_state(bulbs[120], "retired", now)
    done = ada.confirm(ask(ada, "resume_selected"), BULBS)
    assert "bulb-120 is retired" in told(done)
    assert "Changed before that, for good: 100." in told(done)
    assert states(bulbs[:100]) == {"active"}
    assert states(bulbs[100:]) == {"suspended", "retired"}


def test_tokens_of_all_that_match_are_one_sheet(ada, bulbs):
    before = EnrollmentToken.objects.count()
    done = ada.confirm(ask(ada, "new_tokens_selected"), BULBS, hours="24")
    assert done.context["number"] == 151
    assert EnrollmentToken.objects.count() == before + 151


@pytest.mark.parametrize("url", [LIST, f"{LIST}?p=1", f"{LIST}?q=", f"{LIST}?o=1"])
def test_without_a_search_or_a_filter_nothing_matches(ada, bulbs, url):
    before = everything()
    assert "Search or filter the list first" in told(ask(ada, "suspend_selected", url))
    assert everything() == before


def test_more_than_one_action_takes_is_refused_with_what_to_do(ada, bulbs, monkeypatch):
    monkeypatch.setattr(matching, "MOST_MATCHED", 150)
    before = everything()
    assert "More than 150 match. Narrow the list" in told(ask(ada, "suspend_selected"))
    assert everything() == before


@pytest.mark.parametrize("chosen", ["", "1,", "x", "-1", "1;2", "²", "1," * 10_000 + "1"])
def test_what_comes_back_garbled_changes_nothing(ada, bulbs, chosen):
    before = everything()
    done = ask(ada, "suspend_selected", confirmed="yes", chosen=chosen)
    assert "choose again" in told(done)
    assert everything() == before


def test_only_what_the_list_would_show_is_acted_on(ada, world, bulbs):
    """Numbers that were put into the page that asks by hand, of devices that do not match."""
    ask(ada, "suspend_selected", confirmed="yes", chosen=f"{world.gate.pk},{bulbs[0].pk}")
    assert states([world.gate]) == {"active"}
    assert states(bulbs[:1]) == {"suspended"}


def test_acting_on_all_that_match_takes_the_same_permission(viewer, stranger, unprotected, bulbs):
    before = everything()
    chosen = ",".join(str(bulb.pk) for bulb in bulbs)
    may_change = browser(staff("changer", "view_device", "change_device"))
    before = everything()
    for somebody in (viewer, stranger, unprotected):
        ask(somebody, "suspend_selected", confirmed="yes", chosen=chosen)
    ask(may_change, "revoke_selected", confirmed="yes", chosen=chosen, reason="superseded")
    ask(may_change, "new_tokens_selected", confirmed="yes", chosen=chosen, hours="24")
    assert everything() == before
    ask(may_change, "label_selected", confirmed="yes", chosen=chosen, labels="mine")
    assert AuditEvent.objects.filter(kind="device.labelled", actor="administrator:changer").count() == 151
