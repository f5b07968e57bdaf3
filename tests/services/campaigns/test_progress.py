"""How far a campaign is, and who is behind."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from pki.models import CampaignMember, Device
from pki.services.rotating import asking, campaigns, members, pace, progress
from pki.services.rotating.selection import Selection
from tests.services.campaigns.cast import Member, drafted, new_issuer, old_issuer, started
from tests.services.cast import TESTER


@pytest.fixture
def campaign(fleet, now):
    return started(fleet, Selection(from_issuer=old_issuer()), new_issuer(now))


def test_each_device_is_counted_once_by_what_it_is(fleet, campaign):
    fleet.move("door-0")
    fleet.renew("door-1")
    members.failed(Device.objects.get(name="door-2"), "key_refused", "No.", fleet.now)
    CampaignMember.objects.filter(device__name="door-3").update(state=Member.LEFT)
    CampaignMember.objects.filter(device__name="door-4").update(state=Member.WAITING)
    fleet.step(seconds=1)
    CampaignMember.objects.filter(device__name="door-4").update(state=Member.WAITING)
    far = progress.of(campaign, fleet.now)
    assert (far.waiting, far.asked, far.renewed, far.moved, far.failed, far.left) == (1, 1, 1, 1, 1, 1)
    assert (far.total, far.able, far.behind, far.percent) == (6, 5, 3, 20)


def test_who_showed_itself_since_it_was_asked_is_not_unseen(fleet, campaign):
    assert progress.of(campaign, fleet.now).not_seen == 6
    fleet.pass_time(seconds=5)
    fleet.show("door-0", "door-1")
    assert progress.of(campaign, fleet.now).not_seen == 4


def test_of_many_who_was_not_seen_is_estimated_from_a_sample(fleet, campaign, monkeypatch):
    fleet.pass_time(seconds=5)
    first = CampaignMember.objects.order_by("place").first()
    fleet.show(first.device.name)
    monkeypatch.setattr(progress, "SAMPLE", 2)
    assert progress.of(campaign, fleet.now).not_seen == 3, "one of two was seen, of six three"


def test_all_is_reached_when_all_have_moved_and_not_a_moment_before(fleet, campaign):
    fleet.move(*list(fleet.shown)[:5])
    assert progress.of(campaign, fleet.now).percent == 83
    fleet.move("door-5")
    assert progress.of(campaign, fleet.now).percent == 100


def behind(campaign, most=10):
    return [member.device.name for member in progress.laggards(campaign, most)]


def test_laggards_are_those_that_failed_and_then_those_that_renewed_and_then_those_that_are_asked(
    fleet, campaign
):
    fleet.move("door-0", "door-1")
    fleet.renew("door-2")
    members.failed(Device.objects.get(name="door-3"), "key_refused", "No.", fleet.now)
    fleet.step(seconds=1)
    by_place = sorted(["door-4", "door-5"], key=lambda name: pace.place(campaign, name))
    assert behind(campaign) == ["door-3", "door-2", *by_place]
    for most in range(4):
        assert behind(campaign, most) == behind(campaign)[:most]


def test_progress_costs_two_queries_and_laggards_one_for_each_state_and_one(
    fleet, campaign, django_assert_num_queries
):
    with django_assert_num_queries(2):
        progress.of(campaign, fleet.now)
    with django_assert_num_queries(len(progress.BEHIND) + 1):
        for member in progress.laggards(campaign, 10):
            assert member.device.name
            assert not hasattr(member.device, "last_seen")


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL reads a table of six rows as a whole")
def test_laggards_are_found_in_the_index_and_nothing_is_sorted(campaign):
    with CaptureQueriesContext(connection) as captured:
        progress.laggards(campaign, 3)
    for query in captured.captured_queries:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
            steps = [row[-1] for row in cursor.fetchall()]
        assert steps
        assert not [step for step in steps if "TEMP B-TREE" in step or step.startswith("SCAN")], steps


def test_of_a_campaign_that_goes_back_it_says_how_many_moved_back(fleet, campaign):
    fleet.move("door-0", "door-1")
    campaigns.roll_back(campaign, TESTER, fleet.now)
    fleet.step(seconds=1)
    campaign.refresh_from_db()
    far = progress.of(campaign, fleet.now)
    assert (far.word, far.moved, far.able, far.percent) == ("moved back", 0, 2, 0)
    fleet.live(2)
    campaign.refresh_from_db()
    far = progress.of(campaign, fleet.now)
    assert (far.word, far.moved, far.able, far.percent) == ("moved back", 2, 2, 100)


def test_until_all_are_turned_round_nobody_is_said_to_have_moved_back(fleet, campaign, monkeypatch):
    fleet.move("door-0", "door-1")
    fleet.pass_time(seconds=1)
    monkeypatch.setattr(asking, "CHUNK", 2)
    campaigns.roll_back(campaign, TESTER, fleet.now)
    for _ in range(3):
        far = progress.of(campaign, fleet.now)
        assert (far.is_turning, far.moved, far.waiting, far.total) == (True, 0, 0, 0)
        assert progress.laggards(campaign, 10) == []
        campaigns.step(fleet.now, patience=0)
        campaign.refresh_from_db()
    campaigns.step(fleet.now)
    campaign.refresh_from_db()
    far = progress.of(campaign, fleet.now)
    assert (far.is_turning, far.asked, far.moved, far.total) == (False, 2, 0, 6)


def test_a_draft_has_made_no_progress(fleet, now):
    draft = drafted(fleet, Selection(from_issuer=old_issuer()), new_issuer(now, "Third CA"))
    far = progress.of(draft, fleet.now)
    assert (far.total, far.not_seen, far.percent) == (0, 0, 100)
    assert progress.ends_at(draft) is None


def test_when_the_last_is_asked_is_known_while_it_is_open(fleet, now):
    running = started(
        fleet, Selection(from_issuer=old_issuer()), new_issuer(now), name="slow", window_seconds=3600
    )
    assert progress.ends_at(running) == running.opened_at + timedelta(seconds=3600)
