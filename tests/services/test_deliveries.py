"""Each notice arrives once at each who is to be told, or is given up, and the log says which."""

import base64
import hashlib
import hmac
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core import mail as outbox
from django.db import connection

from pki.core import destinations
from pki.models import AuditEvent, Delivery, Notice
from pki.services.telling import deliveries, moments, notices, posting, webhooks
from pki.services.telling.deliveries import BACK_OFF, BeingSent, DeliveredAlready
from tests.server import seen_within
from tests.services.cast import DAY, SECOND, TESTER, at_once
from tests.services.receivers import Receiver

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def _loopback_is_allowed(settings):
    settings.PORTAL_WEBHOOK_NETWORKS = destinations.networks("127.0.0.1")


@pytest.fixture
def receiver():
    with Receiver().listening() as receiver:
        yield receiver


@pytest.fixture
def hook(receiver, now):
    return webhooks.add("ops", receiver.url(), [], TESTER, now)


@pytest.fixture
def mailed(settings):
    settings.PORTAL_MAIL_IS_SET_UP = True
    settings.PORTAL_NOTICE_MAIL = ["ada@example.com", "grace@example.com"]
    settings.PORTAL_NOTICE_FROM = "hatchery@example.com"


def told(now, kind="certificate.revoked", **detail):
    return notices.tell(kind, "Something happened.", now, **detail)


def only():
    return Delivery.objects.get()


def test_a_notice_arrives_signed_by_the_secret_that_the_console_shows(hook, receiver, now):
    notice = told(now, reason="keyCompromise", names=["door-1"])
    assert deliveries.send_due(now) == 1
    (post,) = receiver.posts
    # As the specification says it, without our code.
    secret = base64.b64decode(webhooks.secret_of(hook).removeprefix("whsec_"))
    signed = f"{post.headers['webhook-id']}.{post.headers['webhook-timestamp']}.".encode() + post.body
    digest = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    assert post.headers["webhook-signature"] == f"v1,{digest}"
    assert len(secret) >= 24
    assert post.headers["content-type"] == "application/json"
    sent = datetime.fromtimestamp(int(post.headers["webhook-timestamp"]), UTC)
    assert now - SECOND <= sent <= now + 60 * SECOND
    assert json.loads(post.body) == {
        "type": "certificate.revoked",
        "timestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "data": {
            "summary": "Something happened.",
            "count": 1,
            "url": f"https://localhost:8446/admin/pki/notice/{notice.pk}/change/",
            "reason": "keyCompromise",
            "names": ["door-1"],
        },
    }


def test_the_log_says_that_it_arrived(hook, receiver, now):
    told(now)
    deliveries.send_due(now)
    delivery = only()
    assert (delivery.state, delivery.status, delivery.attempts, delivery.error) == ("delivered", 200, 1, "")
    assert now <= delivery.delivered_at <= now + 60 * SECOND
    assert (delivery.next_at, delivery.leased_until) == (None, None)


def test_what_arrived_is_not_sent_again(hook, receiver, now):
    told(now)
    deliveries.send_due(now)
    assert deliveries.send_due(now + DAY) == 0
    assert len(receiver.posts) == 1


def test_a_webhook_is_told_of_the_kinds_that_it_wants(receiver, now):
    webhooks.add("some", receiver.url(path="/some"), ["certificate.expiring"], TESTER, now)
    webhooks.add("all", receiver.url(path="/all"), [], TESTER, now)
    told(now, "certificate.revoked")
    told(now, "certificate.expiring")
    deliveries.send_due(now)
    assert sorted(post.path for post in receiver.posts) == ["/all", "/all", "/some"]


def test_each_failure_waits_longer_than_the_one_before_and_the_last_gives_up(hook, receiver, now, caplog):
    receiver.statuses = [500]
    told(now)
    moment = now
    for number, pause in enumerate(BACK_OFF, 1):
        deliveries.send_due(moment)
        delivery = only()
        assert (delivery.state, delivery.status, delivery.attempts) == ("pending", 500, number)
        assert pause <= delivery.next_at - moment <= pause * 1.25 + 10 * SECOND
        # Not a moment earlier.
        deliveries.send_due(delivery.next_at - timedelta(milliseconds=1))
        assert len(receiver.posts) == number
        moment = delivery.next_at
    assert "given up" not in caplog.text
    deliveries.send_due(moment)
    delivery = only()
    assert (delivery.state, delivery.next_at, delivery.error) == ("given up", None, "The answer was 500.")
    assert "given up" in caplog.text
    assert receiver.url() not in caplog.text
    deliveries.send_due(moment + 365 * DAY)
    assert len(receiver.posts) == len(BACK_OFF) + 1


def test_the_one_that_fails_first_arrives_later_as_the_same(hook, receiver, now):
    receiver.statuses = [500, 200]
    told(now)
    deliveries.send_due(now)
    deliveries.send_due(only().next_at)
    first, second = receiver.posts
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert only().state == "delivered"


def test_two_notices_are_not_the_same(hook, receiver, now):
    told(now)
    told(now)
    deliveries.send_due(now)
    assert len({post.headers["webhook-id"] for post in receiver.posts}) == 2


def test_who_fails_is_not_asked_again_in_the_same_run(hook, receiver, now):
    receiver.statuses = [503]
    for _ in range(5):
        told(now)
    deliveries.send_due(now)
    assert len(receiver.posts) == 1


def test_who_fails_does_not_keep_the_others_from_being_told(hook, receiver, now):
    receiver.statuses = [503]
    with Receiver().listening() as well:
        webhooks.add("well", well.url(), [], TESTER, now)
        for _ in range(3):
            told(now)
        assert deliveries.send_due(now) == 3
        assert len(well.posts) == 3


def test_each_has_its_turn_however_many_there_are(receiver, now, monkeypatch):
    """Two at once, three who are told, and no time to tell anybody all."""
    monkeypatch.setattr(deliveries, "_AT_ONCE", 2)
    monkeypatch.setattr(deliveries, "_LONGEST_RUN", 3.0)
    receiver.before = lambda: time.sleep(0.3)
    for name in ("one", "two", "three"):
        webhooks.add(name, receiver.url(path=f"/{name}"), [], TESTER, now)
    for _ in range(50):
        told(now)
    deliveries.send_due(now)
    posts = Counter(post.path for post in receiver.posts)
    assert set(posts) == {"/one", "/two", "/three"}
    assert max(posts.values()) - min(posts.values()) <= 2
    assert sum(posts.values()) < 150


def test_who_has_waited_longest_comes_first(receiver, now, monkeypatch):
    monkeypatch.setattr(deliveries, "_AT_ONCE", 1)
    for name in ("one", "two", "three"):
        webhooks.add(name, receiver.url(path=f"/{name}"), [], TESTER, now)
    told(now)
    since = {"one": now - SECOND, "two": now - 3 * SECOND, "three": now - 2 * SECOND}
    for name, next_at in since.items():
        Delivery.objects.filter(webhook__name=name).update(next_at=next_at)
    deliveries.send_due(now)
    assert [post.path for post in receiver.posts] == ["/two", "/three", "/one"]


def test_one_that_is_slow_holds_up_no_other(hook, receiver, now, monkeypatch):
    """It answers the first once the other one has had all; would others wait for it, it never would."""
    monkeypatch.setattr(deliveries, "_AT_ONCE", 2)
    monkeypatch.setattr(posting, "SECONDS", 60.0)
    had = []
    with Receiver().listening() as well:
        webhooks.add("well", well.url(), [], TESTER, now)
        for _ in range(10):
            told(now)

        def wait():
            seen_within(20, lambda: len(well.posts) == 10)
            had.append(len(well.posts))

        receiver.before = wait
        assert deliveries.send_due(now) == 20
    assert had[0] == 10


def test_what_a_clock_that_was_ahead_put_off_is_sent(hook, receiver, now):
    told(now + 400 * DAY)
    assert deliveries.send_due(now) == 1
    told(now + 400 * DAY)
    Delivery.objects.filter(state="pending").update(leased_until=now + 400 * DAY, attempts=1)
    assert deliveries.send_due(now) == 1


@pytest.mark.parametrize("pause", BACK_OFF)
def test_what_waits_as_it_should_is_not_taken_for_that(hook, receiver, now, pause):
    told(now)
    Delivery.objects.update(next_at=now + pause * 1.25)
    assert deliveries.send_due(now) == 0


def test_a_notice_of_events_says_when_they_happened(hook, receiver, mailed, now):
    first, last = now - timedelta(minutes=50), now - timedelta(minutes=10)
    told(now, first_at=moments.written(first), last_at=moments.written(last))
    deliveries.send_due(now)
    sent = json.loads(receiver.posts[0].body)
    assert sent["timestamp"] == sent["data"]["last_at"] == moments.written(last)
    assert sent["data"]["first_at"] == moments.written(first)
    (message,) = outbox.outbox
    assert f"When: {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC" in message.body
    assert "first at" not in message.body.lower()


def test_a_mail_of_one_event_says_its_moment_once(mailed, now):
    at = moments.written(now - timedelta(minutes=10))
    told(now, first_at=at, last_at=at)
    deliveries.send_due(now)
    (message,) = outbox.outbox
    assert f"When: {now - timedelta(minutes=10):%Y-%m-%d %H:%M} UTC" in message.body


def test_a_redirect_is_a_failure_and_says_so(hook, receiver, now):
    receiver.statuses = [301]
    receiver.headers["Location"] = "https://127.0.0.1/"
    told(now)
    deliveries.send_due(now)
    assert only().status == 301
    assert "redirects are not followed" in only().error


def test_where_it_may_not_lead_any_more_nothing_is_sent(hook, receiver, now, settings):
    settings.PORTAL_WEBHOOK_NETWORKS = ()
    told(now)
    deliveries.send_due(now)
    assert not receiver.posts
    assert "not a public address" in only().error


def test_a_disabled_webhook_is_told_of_nothing_new_and_what_waits_waits(hook, receiver, now):
    told(now)
    webhooks.change(hook, TESTER, now, enabled=False)
    told(now)
    deliveries.send_due(now)
    assert not receiver.posts
    webhooks.change(hook, TESTER, now, enabled=True)
    deliveries.send_due(now)
    assert len(receiver.posts) == 1


def test_nothing_due_is_one_query(hook, now, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert deliveries.send_due(now) == 0


# --- By whom ----------------------------------------------------------------------------------------


def test_while_somebody_is_sending_it_nobody_else_does(hook, receiver, now):
    told(now)
    Delivery.objects.update(leased_until=now + 60 * SECOND, attempts=1)
    assert deliveries.send_due(now) == 0
    assert not receiver.posts


def test_what_a_killed_process_had_is_sent_when_its_lease_is_over(hook, receiver, now):
    told(now)
    Delivery.objects.update(leased_until=now + 60 * SECOND, attempts=1)
    assert deliveries.send_due(now + 61 * SECOND) == 1
    assert only().attempts == 2


def test_who_comes_back_after_his_lease_changes_nothing(hook, receiver, now):
    notice = Notice.objects.create(kind="certificate.revoked", at=now, summary="Something happened.")
    claimed = deliveries.claimed_at_birth(notice, hook, now)
    Delivery.objects.filter(pk=claimed.pk).update(leased_until=now + DAY)  # it is another's by now
    assert deliveries.send_claimed(claimed, now).state == "pending"
    assert Delivery.objects.get(pk=claimed.pk).leased_until == now + DAY


@pytest.mark.django_db(transaction=True)
def test_many_nodes_at_once_send_each_notice_once(receiver, now):
    for name in ("one", "two"):
        webhooks.add(name, receiver.url(path=f"/{name}"), [], TESTER, now)
    for _ in range(10):
        told(now)
    assert sum(at_once(*[lambda: deliveries.send_due(now)] * 4)) == 20
    sent = [(post.path, post.headers["webhook-id"]) for post in receiver.posts]
    assert len(sent) == len(set(sent)) == 20
    assert set(Delivery.objects.values_list("attempts", flat=True)) == {1}


SENDS = """
import django, sys
from datetime import datetime
from django.conf import settings
settings.configure(
    DATABASES={"default": %(database)r}, USE_TZ=True, SECRET_KEY=%(secret)r, PORTAL_HOSTNAMES=["localhost"],
    PORTAL_PORT_CONSOLE=8446, PORTAL_WEBHOOK_CA_FILE="", PORTAL_MAIL_IS_SET_UP=False,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "pki"],
)
django.setup()
from pki.core import destinations
settings.PORTAL_WEBHOOK_NETWORKS = destinations.networks("127.0.0.1")
from pki.services.telling import deliveries
deliveries.send_due(datetime.fromisoformat(%(now)r))
"""


@pytest.mark.django_db(transaction=True)
def test_a_process_that_is_killed_while_it_sends_loses_nothing(receiver, now, settings):
    webhooks.add("ops", receiver.url(), [], TESTER, now)
    told(now)
    arrived, killed = threading.Event(), threading.Event()

    def hold():
        arrived.set()
        killed.wait(30)

    receiver.before = hold
    database = {
        key: connection.settings_dict[key] for key in ("ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT")
    }
    script = SENDS % {
        "database": {**database, "NAME": str(database["NAME"])},
        "secret": settings.SECRET_KEY,
        "now": now.isoformat(),
    }
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    try:
        assert arrived.wait(30)
    finally:
        process.kill()
        process.wait()
    killed.set()
    assert (only().state, only().attempts) == ("pending", 1)
    receiver.before = lambda: None
    assert deliveries.send_due(now + timedelta(minutes=6)) == 1
    first, second = receiver.posts
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


# --- Again ------------------------------------------------------------------------------------------


def given_up(hook, now):
    told(now)
    Delivery.objects.update(state="given up", attempts=len(BACK_OFF) + 1, next_at=None)
    return only()


def test_what_was_given_up_can_be_tried_again_at_once(hook, receiver, now):
    delivery = deliveries.try_again(given_up(hook, now), TESTER, now + DAY)
    assert (delivery.state, delivery.status) == ("delivered", 200)
    assert len(receiver.posts) == 1
    assert AuditEvent.objects.filter(kind="delivery.tried_again", actor=TESTER.name).count() == 1


def test_it_is_given_up_again_if_it_fails(hook, receiver, now):
    receiver.statuses = [500]
    delivery = deliveries.try_again(given_up(hook, now), TESTER, now + DAY)
    assert (delivery.state, delivery.next_at) == ("given up", None)


def test_one_that_waits_is_tried_without_waiting(hook, receiver, now):
    receiver.statuses = [500, 200]
    told(now)
    deliveries.send_due(now)
    assert deliveries.try_again(only(), TESTER, now).state == "delivered"


def test_what_arrived_is_not_tried_again(hook, receiver, now):
    told(now)
    deliveries.send_due(now)
    with pytest.raises(DeliveredAlready):
        deliveries.try_again(only(), TESTER, now)
    assert len(receiver.posts) == 1
    assert not AuditEvent.objects.filter(kind="delivery.tried_again").exists()


def test_what_somebody_is_sending_is_not_tried_beside_him(hook, receiver, now):
    told(now)
    Delivery.objects.update(leased_until=now + 60 * SECOND)
    with pytest.raises(BeingSent):
        deliveries.try_again(only(), TESTER, now)
    assert not receiver.posts


# --- By mail ----------------------------------------------------------------------------------------


def test_without_settings_no_mail_is_tried(now):
    told(now)
    assert not Delivery.objects.exists()
    assert outbox.outbox == []


def test_a_mail_goes_to_all_who_are_named_with_a_link(mailed, now):
    notice = told(
        now, "certificate.expiring", profile="device", certificates=[{"name": "door-1", "serial": "a1"}]
    )
    assert deliveries.send_due(now) == 1
    (message,) = outbox.outbox
    assert message.subject == "[Hatchery] Something happened."
    assert message.to == ["ada@example.com", "grace@example.com"]
    assert message.from_email == "hatchery@example.com"
    assert message.content_subtype == "plain"
    assert "  door-1, a1" in message.body
    assert notices.url(notice) in message.body
    assert only().state == "delivered"


def test_a_summary_of_several_lines_is_one_subject(mailed, now):
    notices.tell("campaign.stopped", "The campaign x stopped:\r\nBcc: eve@example.com", now)
    deliveries.send_due(now)
    (message,) = outbox.outbox
    assert "\n" not in message.subject
    assert message.recipients() == ["ada@example.com", "grace@example.com"]


def test_mail_that_is_not_set_up_any_more_is_said(mailed, now, settings):
    told(now)
    settings.PORTAL_MAIL_IS_SET_UP = False
    deliveries.send_due(now)
    assert "not set up any more" in only().error


def test_a_test_goes_to_its_webhook_alone_and_is_not_tried_twice(hook, receiver, mailed, now):
    receiver.statuses = [500]
    webhooks.add("other", receiver.url(path="/other"), [], TESTER, now)
    delivery = webhooks.send_test(hook, TESTER, now)
    assert (delivery.state, delivery.status, delivery.attempts) == ("given up", 500, 1)
    assert [post.path for post in receiver.posts] == ["/hook"]
    assert json.loads(receiver.posts[0].body)["type"] == "webhook.test"
    assert Notice.objects.get().kind == "webhook.test"
    assert outbox.outbox == []
