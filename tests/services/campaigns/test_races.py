"""Campaigns under many hands: steps at once, steps that are killed, deeds and sightings between them."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from pki.models import AuditEvent, Campaign, CampaignMember, Device
from pki.services.fleet.sightings import Sighting
from pki.services.rotating import asking, campaigns, gathering, members, stepping
from pki.services.rotating.selection import Selection
from tests.services.campaigns.cast import (
    Fleet,
    Member,
    State,
    drafted,
    new_issuer,
    old_issuer,
    started,
    states,
)
from tests.services.cast import TESTER, at_once

NUMBER = 8
HOLDS = re.compile(r'^SELECT "pki_device"."id" .* ORDER BY (1|"pki_device"."id") ASC( FOR NO KEY UPDATE)?$')


@pytest.fixture
def fleet(ca, now):
    return Fleet.of(NUMBER, now)


@pytest.fixture
def few_at_a_time(monkeypatch):
    """Chunks so small that a fleet of eight is many."""
    monkeypatch.setattr(asking, "CHUNK", 2)
    monkeypatch.setattr(gathering, "STRETCH", 2)


def whole_issuer():
    return Selection(from_issuer=old_issuer())


class Killed(Exception):
    """The process ends here."""


def killed_after(monkeypatch, module, name, calls):
    """Let a function of a step be the last thing that its process begins, the so many-th time."""
    inner = getattr(module, name)
    left = [calls]

    def deadly(*args):
        done = inner(*args)
        left[0] -= 1
        if not left[0]:
            raise Killed
        return done

    monkeypatch.setattr(module, name, deadly)


PLACES = {
    "gathering": (gathering, "gather"),
    "asking": (asking, "ask"),
}


@pytest.mark.parametrize("calls", [1, 2, 4])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_step_that_is_killed_is_gone_on_with_by_the_next(
    fleet, target, few_at_a_time, monkeypatch, place, calls
):
    campaign = drafted(fleet, whole_issuer(), target)
    campaigns.start(campaign, TESTER, fleet.now)
    with monkeypatch.context() as dying:
        killed_after(dying, *place, calls)
        with pytest.raises(Killed):
            fleet.step()
    fleet.step(seconds=1)
    assert set(states(campaign).values()) == {Member.ASKED}
    assert fleet.asked() == set(fleet.shown)
    assert CampaignMember.objects.count() == NUMBER


def test_a_rollback_that_is_killed_is_gone_on_with(fleet, target, few_at_a_time, monkeypatch):
    campaign = started(fleet, whole_issuer(), target)
    fleet.obey()
    campaigns.roll_back(campaign, TESTER, fleet.now)
    with monkeypatch.context() as dying:
        killed_after(dying, stepping.returning, "turn_round", 2)
        with pytest.raises(Killed):
            fleet.step()
    fleet.step(seconds=1)
    assert fleet.asked() == set(fleet.shown)
    fleet.live(2)
    assert Campaign.objects.get().state == State.ROLLED_BACK


def test_a_step_without_time_does_a_chunk_of_each_and_leaves_the_rest(fleet, target, few_at_a_time):
    campaign = drafted(fleet, whole_issuer(), target)
    campaigns.start(campaign, TESTER, fleet.now)
    campaigns.step(fleet.now, patience=0)
    assert 0 < len(states(campaign)) <= gathering.STRETCH
    for _ in range(3 * NUMBER):
        campaigns.step(fleet.now, patience=0)
    assert set(states(campaign).values()) == {Member.ASKED}


def test_a_pause_between_two_chunks_is_heeded_by_the_next(fleet, target, few_at_a_time, monkeypatch):
    campaign = drafted(fleet, whole_issuer(), target)
    campaigns.start(campaign, TESTER, fleet.now)
    ask = asking.ask

    def ask_and_then_somebody_pauses(held, now):
        left = ask(held, now)
        campaigns.pause(Campaign.objects.get(), TESTER, now)
        return left

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(asking, "ask", ask_and_then_somebody_pauses)
        fleet.step()
    assert len(fleet.asked()) == asking.CHUNK
    fleet.step(seconds=1)
    assert fleet.asked() == set()


@pytest.mark.django_db(transaction=True)
def test_steps_of_many_nodes_at_once_do_each_thing_once(fleet, target, few_at_a_time):
    campaign = drafted(fleet, whole_issuer(), target)
    campaigns.start(campaign, TESTER, fleet.now)
    at_once(*[lambda: campaigns.step(fleet.now)] * 4)
    campaigns.step(fleet.now)
    assert set(states(campaign).values()) == {Member.ASKED}
    fleet.obey()
    fleet.pass_time(seconds=1)
    at_once(*[lambda: campaigns.step(fleet.now)] * 4)
    campaigns.step(fleet.now)
    assert AuditEvent.objects.filter(kind="campaign.finished").count() == 1


@pytest.mark.django_db(transaction=True)
def test_sightings_and_steps_at_once_lose_nobody(fleet, target, few_at_a_time):
    campaign = started(fleet, whole_issuer(), target)
    fleet.renew(*fleet.shown)
    fleet.pass_time(seconds=1)
    showings = [
        Sighting(each.device_id, each.pk, fleet.now, None, "TLSv1.3") for each in fleet.shown.values()
    ]
    at_once(
        lambda: members.seen(showings),
        lambda: members.seen(showings[::-1]),
        lambda: campaigns.step(fleet.now),
        lambda: campaigns.pause(Campaign.objects.get(), TESTER, fleet.now),
    )
    assert set(states(campaign).values()) == {Member.MOVED}
    assert set(Device.objects.values_list("issuer__name", flat=True)) <= {"Next CA", None}


@pytest.mark.django_db(transaction=True)
def test_two_campaigns_that_are_gathered_at_once_share_no_device(fleet, target, now):
    first = drafted(fleet, whole_issuer(), target, name="first")
    second = drafted(fleet, whole_issuer(), new_issuer(now, "Third CA"), name="second")
    at_once(
        *(lambda each=each: campaigns.start(each, TESTER, fleet.now) for each in (first, second)),
        lambda: campaigns.step(fleet.now),
    )
    fleet.step(seconds=1)
    assert CampaignMember.objects.filter(living=True).count() == NUMBER
    assert set(states(first)) | set(states(second)) == set(fleet.shown)
    assert not set(states(first)) & set(states(second))


def queries(deed):
    with CaptureQueriesContext(connection) as captured:
        deed()
    return len(captured)


def move_all(fleet):
    fleet.move(*fleet.shown)


def after(deed):
    def run(fleet):
        fleet.move("door-0")
        deed(Campaign.objects.get(), TESTER, fleet.now)
        fleet.step(seconds=1)

    return run


@pytest.mark.parametrize(
    ("deed", "is_key"),
    [
        (move_all, False),
        (after(campaigns.roll_back), False),
        (after(campaigns.cancel), False),
        (after(campaigns.cancel), True),
    ],
    ids=["move", "roll back", "cancel", "cancel new keys"],
)
def test_devices_are_held_in_one_order_before_several_of_them_are_changed(fleet, target, deed, is_key):
    """Else two who change the same ones wait for each other on PostgreSQL."""
    started(fleet, whole_issuer(), None if is_key else target)
    with CaptureQueriesContext(connection) as captured:
        deed(fleet)
    wrote = [each["sql"] for each in captured.captured_queries]
    changes = [
        at for at, sql in enumerate(wrote) if sql.startswith('UPDATE "pki_device" ') and " IN (" in sql
    ]
    assert changes
    for before, at in zip([0, *changes], changes, strict=False):
        assert any(HOLDS.search(sql) for sql in wrote[before:at]), wrote[at]


def test_a_batch_costs_the_same_queries_however_many_have_moved(fleet, target):
    started(fleet, whole_issuer(), target)
    few, many = ["door-0"], [f"door-{number}" for number in range(1, NUMBER)]
    fleet.renew(*fleet.shown)

    def showings(names):
        rows = [fleet.shown[name] for name in names]
        return [Sighting(each.device_id, each.pk, fleet.now, None, "TLSv1.3") for each in rows]

    cost = queries(lambda: members.seen(showings(few)))
    assert queries(lambda: members.seen(showings(many))) == cost
    assert queries(lambda: members.seen(showings(many))) == 1, "who has moved is no news"
    assert queries(lambda: members.seen([])) <= 1


def test_without_a_campaign_a_step_asks_two_small_questions(ca, now, django_assert_max_num_queries):
    with django_assert_max_num_queries(2):
        campaigns.step(now)
