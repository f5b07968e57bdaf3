"""Two administrators do the same at the same instant: one wins, and the others are told so."""

from functools import partial

import pytest
from django.contrib.auth.models import User

from pki.models import Device, DeviceGroup
from pki.services import devices
from tests.console.browser import add
from tests.console.conftest import browser
from tests.services.cast import at_once

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("ca")]
CROWD = 6


def browsers():
    return [browser(User.objects.get(username="admin")) for _ in range(CROWD)]


def test_one_group_of_a_name_is_made():
    answers = at_once(*(partial(each.post, add(DeviceGroup), name="berlin") for each in browsers()))
    assert {answer.status_code for answer in answers} <= {200, 302}
    assert DeviceGroup.objects.count() == 1


def test_one_device_of_a_name_is_registered():
    filled = {"name": "door-1", "profile": str(devices.default_profile().pk)}
    answers = at_once(*(partial(each.post, add(Device), **filled) for each in browsers()))
    assert {answer.status_code for answer in answers} <= {200, 302}
    assert Device.objects.filter(name="door-1").count() == 1
