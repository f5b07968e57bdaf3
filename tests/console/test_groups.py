"""Groups: made, changed and acted on by those who may, on record."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from pki.models import Device, DeviceGroup, EnrollmentToken
from pki.services.fleet import labels
from tests.console.browser import add, changelist, page
from tests.console.conftest import browser, staff
from tests.console.test_deeds import events, state_of, told
from tests.console.test_device_pages import seen, text
from tests.services.cast import TESTER, everything, registered


def test_a_group_is_made_and_changed_on_record(ada):
    made = ada.post(add(DeviceGroup), name="paris", description="The other house")
    paris = DeviceGroup.objects.get()
    assert made["Location"] == page(paris)
    assert events("group.saved").get().detail == {"group": "paris", "changed": ["name", "description"]}
    ada.post(page(paris, "edit"), name="paris", description="Gone")
    assert events("group.saved").order_by("pk").last().detail["changed"] == ["description"]


@pytest.mark.parametrize("name", ["", "a b", "berlin", "x" * 65, "<b>"])
def test_a_bad_group_shows_an_error(ada, world, name):
    before = everything()
    assert set(ada.post(add(DeviceGroup), name=name).context["adminform"].form.errors) == {"name"}
    assert everything() == before


def test_a_group_shows_its_newest_devices_and_costs_the_same_for_many(ada, world, now):
    def queries():
        with CaptureQueriesContext(connection) as asked:
            ada.get(page(world.group))
        return len(asked)

    few = queries()
    for number in range(60):
        registered(f"bulb-{number}", now)
    labels.join(Device.objects.all(), world.group, TESTER, now)
    assert queries() == few
    shown = ada.get(page(world.group))
    assert len(shown.context["devices"]) == 50
    assert shown.context["devices"][0].name == "bulb-59"
    assert "All of them" in text(shown)
    assert ada.get(shown.context["all_url"]).status_code == 200


def test_an_empty_group_is_told_what_to_do_next(ada):
    group = DeviceGroup.objects.create(name="empty")
    assert "Add to a group" in text(ada.get(page(group)))


STATES = {"suspend": "suspended", "retire": "retired", "resume": "active"}


@pytest.mark.parametrize(("path", "state"), STATES.items(), ids=STATES)
def test_all_of_a_group_change_their_state_and_no_others(ada, world, now, path, state):
    labels.join(Device.objects.filter(name__in=["suspended-1"]), world.group, TESTER, now)
    elsewhere = state_of(world.gate)
    before = everything()
    asked = ada.get(page(world.group, path))
    assert everything() == before
    ada.confirm(asked, page(world.group, path))
    assert {device.state for device in world.group.devices.all()} == {state}
    assert state_of(world.gate) == elsewhere
    assert events(f"device.{state}").exists()


def test_who_suspends_a_group_is_told_who_is_at_work(ada, world, now):
    seen(world.door, world.certificate, now)
    assert "The last of them at work was door-1" in text(ada.get(page(world.group, "suspend")))


@pytest.mark.parametrize("path", [*STATES, "new-tokens", "edit"])
def test_a_group_is_acted_on_by_those_alone_who_may(viewer, newcomer, stranger, unprotected, world, path):
    before = everything()
    url = page(world.group, path)
    assert url not in viewer.get(page(world.group)).content.decode()
    for person in (viewer, newcomer):
        assert person.get(url).status_code == 403
        assert person.post(url, confirmed="yes", once="one", hours="24").status_code == 403
    assert stranger.post(url, confirmed="yes").status_code == 302
    assert unprotected.post(url, confirmed="yes").status_code == 403
    assert everything() == before


def test_who_may_see_groups_but_no_devices_sees_none(world):
    bob = browser(staff("bob", "view_devicegroup"))
    assert "door-1" not in bob.get(page(world.group)).content.decode()


def test_a_groups_devices_without_a_certificate_get_tokens_once(ada, world, now):
    labels.join(Device.objects.filter(pk=registered("lamp-1b", now).pk), world.group, TESTER, now)
    url = page(world.group, "new-tokens")
    asked = ada.get(url)
    shown = ada.confirm(asked, url, hours="24")
    assert [line.split(",")[0] for line in shown.context["sheet"].splitlines()] == ["name", "lamp-1b"]
    before = EnrollmentToken.objects.count()
    assert "done already" in told(ada.confirm(asked, url, hours="24"))
    assert EnrollmentToken.objects.count() == before


def test_a_group_of_which_all_have_certificates_is_told_so(ada, world):
    url = page(world.group, "new-tokens")
    assert "has a certificate" in told(ada.confirm(ada.get(url), url, hours="24"))


def test_groups_are_found_by_their_beginning(ada, world):
    assert list(ada.get(changelist(DeviceGroup), q="ber").context["cl"].result_list) == [world.group]
    assert not list(ada.get(changelist(DeviceGroup), q="erl").context["cl"].result_list)
