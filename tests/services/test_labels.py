"""Labels and groups: given and taken on record, all or none."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from pki.core import names
from pki.models import AuditEvent, Device, DeviceGroup, Label
from pki.services.fleet import devices, labels
from tests.services.cast import TESTER, change_state, everything, registered

pytestmark = pytest.mark.usefixtures("ca")


@pytest.fixture
def doors(ca, now):
    return [registered(f"door-{number}", now) for number in range(3)]


@pytest.fixture
def berlin(ca, now):
    group = DeviceGroup(name="berlin")
    labels.save_group(group, ["name"], TESTER, now)
    return group


def labels_of(device):
    return {label.name for label in device.labels.all()}


def changes(kind):
    return [
        (event.device.name, event.detail) for event in AuditEvent.objects.filter(kind=kind).order_by("pk")
    ]


GOOD = ["site=berlin", "beta", "a.b_c:d/e=f@g+h-i", "l" * 64]
BAD = ["", "a b", "a;b", "straße", "l" * 65, "a\n", "a\0", "<b>"]


@pytest.mark.parametrize("name", GOOD)
def test_a_good_label_is_taken(name):
    assert labels.parse(f" {name} ,{name}\n") == [name]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_label_is_refused_and_nothing_is_stored(doors, now, name):
    before = everything()
    with pytest.raises(names.NameRefused):
        labels.add(Device.objects.all(), ["fine", name], TESTER, now)
    assert everything() == before


def test_labels_are_added_where_they_are_missing_and_recorded_there_alone(doors, now):
    labels.set_labels(doors[0], ["beta"], TESTER, now)
    assert labels.add(Device.objects.all(), ["beta", "alpha"], TESTER, now) == 3
    assert labels.add(Device.objects.all(), ["beta"], TESTER, now) == 0
    assert all(labels_of(door) == {"alpha", "beta"} for door in doors)
    assert changes("device.labelled") == [
        ("door-0", {"added": ["beta"]}),
        ("door-0", {"added": ["alpha"]}),
        ("door-1", {"added": ["alpha", "beta"]}),
        ("door-2", {"added": ["alpha", "beta"]}),
    ]
    assert Label.objects.count() == 2


def test_labels_are_removed_from_those_that_were_chosen(doors, now):
    labels.add(Device.objects.all(), ["beta", "alpha"], TESTER, now)
    chosen = Device.objects.filter(pk=doors[0].pk)
    assert labels.remove(chosen, ["beta", "unknown"], TESTER, now) == 1
    assert [labels_of(door) for door in doors] == [{"alpha"}, {"alpha", "beta"}, {"alpha", "beta"}]
    assert changes("device.labelled")[-1] == ("door-0", {"removed": ["beta"]})


def test_devices_join_and_leave_a_group_once(doors, berlin, now):
    everyone = Device.objects.all()
    assert labels.join(everyone.filter(pk=doors[0].pk), berlin, TESTER, now) == 1
    assert labels.join(everyone, berlin, TESTER, now) == 2
    assert berlin.devices.count() == 3
    assert labels.leave(everyone.filter(pk=doors[0].pk), berlin, TESTER, now) == 1
    assert labels.leave(everyone, berlin, TESTER, now) == 2
    assert not berlin.devices.exists()
    assert changes("device.grouped")[0] == ("door-0", {"added": ["berlin"]})
    assert len(changes("device.grouped")) == 6


def test_setting_the_groups_of_a_device_changes_no_more_than_it_must(doors, berlin, now):
    paris = DeviceGroup.objects.create(name="paris")
    labels.set_groups(doors[0], [berlin], TESTER, now)
    labels.set_groups(doors[0], [berlin, paris], TESTER, now)
    labels.set_groups(doors[0], [paris], TESTER, now)
    assert changes("device.grouped") == [
        ("door-0", {"added": ["berlin"]}),
        ("door-0", {"added": ["paris"]}),
        ("door-0", {"removed": ["berlin"]}),
    ]


def test_many_are_labelled_with_few_queries(ca, now):
    for _ in range(60):
        registered(f"lamp-{_}", now)
    with CaptureQueriesContext(connection) as asked:
        labels.add(Device.objects.all(), ["beta"], TESTER, now)
    assert len(asked) < 12


def test_a_group_changes_its_state_but_for_the_retired(doors, berlin, now):
    labels.join(Device.objects.all(), berlin, TESTER, now)
    change_state(doors[0], Device.State.RETIRED, now)
    assert devices.change_states_of(berlin, Device.State.SUSPENDED, TESTER, now) == 2
    assert devices.change_states_of(berlin, Device.State.ACTIVE, TESTER, now) == 2
    assert devices.change_states_of(berlin, Device.State.RETIRED, TESTER, now) == 2
    assert set(Device.objects.values_list("state", flat=True)) == {"retired"}
    assert AuditEvent.objects.filter(kind="device.retired").count() == 3


def test_a_group_larger_than_a_batch_is_changed_to_its_end(doors, berlin, now, monkeypatch):
    monkeypatch.setattr(devices, "BATCH", 2)
    labels.join(Device.objects.all(), berlin, TESTER, now)
    assert devices.change_states_of(berlin, Device.State.SUSPENDED, TESTER, now) == 3
    assert set(Device.objects.values_list("state", flat=True)) == {"suspended"}


def test_of_several_states_all_are_changed_or_none(doors, now):
    change_state(doors[2], Device.State.RETIRED, now)
    change_state(doors[0], Device.State.SUSPENDED, now)
    before = everything()
    with pytest.raises(devices.RetiredForGood, match="door-2"):
        devices.change_states(Device.objects.all(), Device.State.ACTIVE, TESTER, now)
    assert everything() == before
