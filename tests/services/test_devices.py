"""Devices: registered once under a name that may stand, and changed on record."""

import pytest

from pki.core import names
from pki.models import AuditEvent, Device
from pki.services.fleet import devices
from tests.services.cast import TESTER, change_state, issue, registered

pytestmark = pytest.mark.usefixtures("ca")


def test_a_device_is_registered_with_its_names_and_an_event(now):
    profile = devices.default_profile()
    door = devices.register(
        "door-1", profile, TESTER, now, subject={"O": "Example"}, sans=["dns:door.example", "IP:10.0.0.7"]
    )
    stored = devices.find("door-1")
    assert stored == door
    assert (stored.subject, stored.sans) == ({"O": "Example"}, ["DNS:door.example", "IP:10.0.0.7"])
    assert AuditEvent.objects.get(kind="device.registered").device == door


BAD = {
    "a blank in its name": {"name": "door 1"},
    "no name": {"name": ""},
    "a name that is too long": {"name": "d" * 65},
    "a hyphen at the end of its name": {"name": "door-"},
    "an attribute that no subject has": {"subject": {"X": "1"}},
    "a country of three letters": {"subject": {"C": "DEU"}},
    "an address that is none": {"sans": ["IP:300.0.0.1"]},
    "a kind of SAN that there is not": {"sans": ["FAX:123"]},
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_device_whose_names_may_not_stand_is_not_registered(now, bad):
    options = {"name": "door-1", **bad}
    with pytest.raises(names.NameRefused):
        devices.register(options.pop("name"), devices.default_profile(), TESTER, now, **options)
    assert not Device.objects.exists()


def test_a_name_is_registered_once(now):
    registered("door-1", now)
    with pytest.raises(devices.DeviceExists):
        registered("door-1", now)
    assert Device.objects.count() == 1


def test_what_is_on_record_is_in_the_certificate(now):
    profile = devices.default_profile()
    door = devices.register(
        "door-1", profile, TESTER, now, subject={"O": "Example", "C": "DE"}, sans=["DNS:door.example"]
    )
    certificate = issue(door, now)
    assert certificate.parsed.subject.rfc4514_string() == "CN=door-1,O=Example,C=DE"
    assert certificate.sans == ["DNS:door.example"]


@pytest.mark.parametrize("state", [Device.State.SUSPENDED, Device.State.RETIRED])
def test_a_change_of_state_is_one_event_however_often_it_is_asked_for(now, state):
    door = registered("door-1", now)
    change_state(door, state, now)
    change_state(door, state, now)
    assert Device.objects.get().state == state
    assert AuditEvent.objects.filter(kind=f"device.{state}").count() == 1


def test_a_device_that_nobody_registered_is_unknown(now):
    with pytest.raises(devices.DeviceUnknown, match="door-9"):
        devices.find("door-9")
