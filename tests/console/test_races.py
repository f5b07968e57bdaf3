"""Two administrators do the same at the same instant: one wins, and the others are told so."""

from functools import partial

import pytest
from django.contrib.auth.models import User

from pki.models import AuditEvent, Device, DeviceGroup, EnrollmentToken, Issuer, RevocationList
from pki.services.fleet import devices
from tests.console.browser import ONE_TOKEN, add, fields_of, page
from tests.console.conftest import browser
from tests.services.cast import at_once, registered

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


def tokens_of(device):
    return EnrollmentToken.objects.filter(device=device).count()


@pytest.mark.parametrize("crowd", ["one session", "a session each"])
def test_one_form_that_is_sent_many_times_at_once_makes_one_token(now, crowd):
    device = registered("door-1", now)
    url = page(device, "new-token")
    people = browsers()
    sent = fields_of(people[0].get(url).content.decode())
    if crowd == "one session":
        for each in people:
            each.client.cookies = people[0].client.cookies
    answers = at_once(*(partial(each.post, url, **{**sent, **ONE_TOKEN}) for each in people))
    assert sorted(answer.status_code for answer in answers) == [200] + [302] * (CROWD - 1)
    assert tokens_of(device) == 1


def test_forms_of_their_own_make_a_token_each(now):
    device = registered("door-1", now)
    url = page(device, "new-token")
    people = browsers()
    sent = [fields_of(each.get(url).content.decode()) for each in people]
    answers = at_once(
        *(
            partial(each.post, url, **{**fields, **ONE_TOKEN})
            for each, fields in zip(people, sent, strict=True)
        )
    )
    assert {answer.status_code for answer in answers} == {200}
    assert tokens_of(device) == CROWD


def test_lists_that_are_published_many_times_at_once_have_a_number_each_time():
    url = page(Issuer.objects.get(parent__isnull=False), "publish")
    answers = at_once(*(partial(each.post, url, confirmed="yes") for each in browsers()))
    assert {answer.status_code for answer in answers} == {302}
    published = [event.detail for event in AuditEvent.objects.filter(kind="crl.published")]
    for row in RevocationList.objects.filter(issuer__parent__isnull=False):
        numbers = [each["number"] for each in published if each["shard"] == row.shard]
        assert sorted(numbers) == list(range(1, CROWD + 1))
        assert row.number == CROWD
