"""/healthz and /readyz: what they say, what they keep to themselves, and what they cost."""

import threading
from datetime import timedelta

import pytest
from django.db import OperationalError, connection, transaction

from pki.endpoints import health
from pki.models import Issuer, Profile, RevocationList
from pki.services.measuring import standing, watch
from pki.services.publishing import publication
from tests.endpoints.conftest import ListenerClient

SECRET = "postgres://hatchery:hunter2@db.internal/hatchery"


@pytest.fixture(autouse=True)
def _looks_anew():
    watch.WATCH.forget()
    yield
    watch.WATCH.forget()


@pytest.fixture(params=["status", "metrics"])
def asked(request, ca, now, settings):
    settings.PORTAL_PORT_METRICS = 9464
    publication.publish_first(now)
    return ListenerClient(request.param)


def test_health_asks_no_database(asked, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert asked.get("/healthz").json() == {"status": "ok"}


def test_a_good_installation_is_ready(asked):
    answer = asked.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "checks": {"database": "ok", "keys": "ok", "lists": "ok"},
    }


def test_it_looks_once_however_often_it_is_asked(asked, django_assert_num_queries):
    asked.get("/readyz")
    with django_assert_num_queries(0):
        for _ in range(50):
            assert asked.get("/readyz").status_code == 200


def test_its_queries_do_not_grow_with_what_is_stored(asked, now, django_assert_max_num_queries):
    with django_assert_max_num_queries(25) as first:
        asked.get("/readyz")
    issuer = Issuer.objects.latest("pk")
    RevocationList.objects.bulk_create(
        RevocationList(issuer=issuer, shard=number, url=f"http://x/{number}", opened_at=now)
        for number in range(100, 150)
    )
    watch.WATCH.forget()
    with django_assert_max_num_queries(len(first)):
        asked.get("/readyz")


def test_a_database_that_fails_is_named_and_nothing_of_it_is_told(asked, monkeypatch, caplog):
    def fails(now):
        raise OperationalError(f"could not connect to {SECRET}")

    monkeypatch.setattr(standing, "_look", fails)
    answer = asked.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "not ready",
        "checks": {"database": "failed", "keys": "unknown", "lists": "unknown"},
    }
    assert answer["Retry-After"]
    assert "hunter2" not in str(answer.headers)
    assert "Not ready: database" in caplog.text


def test_a_key_that_is_not_here_is_named(asked, ca, caplog):
    reference = Profile.objects.select_related("issuer").first().issuer.key_reference
    path = ca / "keys" / f"{reference.removeprefix('file:')}.pem"
    path.unlink()
    from pki.keystore import keystore

    keystore.cache_clear()
    answer = asked.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["keys"]) == (503, "failed")
    assert str(ca) not in answer.content.decode()
    assert str(path) in caplog.text, "the operator is told which"


def test_an_offline_root_is_no_trouble(asked, ca):
    from pki.keystore import keystore

    root = Issuer.objects.get(parent=None)
    (ca / "keys" / f"{root.key_reference.removeprefix('file:')}.pem").unlink()
    keystore.cache_clear()
    assert asked.get("/readyz").status_code == 200


def test_a_list_past_its_next_update_is_named(asked, now):
    old = now - timedelta(hours=2)
    RevocationList.objects.update(next_update=old, renew_at=old)
    answer = asked.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["lists"]) == (503, "failed")


def test_a_list_that_is_late_but_good_is_no_reason_to_stop(asked, now):
    RevocationList.objects.update(renew_at=now - timedelta(hours=2))
    assert asked.get("/readyz").status_code == 200


@pytest.mark.skipif(connection.vendor != "postgresql", reason="standbys are PostgreSQL's")
def test_a_database_that_takes_no_writes_is_not_ready(asked):
    before = transaction.savepoint()
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")
    found = asked.get("/readyz").json()["checks"]
    transaction.savepoint_rollback(before)
    assert found == {"database": "failed", "keys": "ok", "lists": "ok"}


# --- While a look takes long ----------------------------------------------------------------------


class Slow:
    """A database that answers when it is let."""

    def __init__(self):
        self.let, self.asked = threading.Event(), 0

    def __call__(self, now):
        self.asked += 1
        assert self.let.wait(20)
        return standing.Standing()


def test_a_database_that_hangs_holds_one_thread_and_the_others_are_told(monkeypatch, now):
    monkeypatch.setattr(watch, "FIRST_SECONDS", 0.01)
    slow = Slow()
    seen = watch.Watch(slow)
    first = threading.Thread(target=seen.standing, args=(now,))
    first.start()
    try:
        for _ in range(20):
            assert standing.DATABASE in seen.standing(now).troubles
        assert slow.asked == 1
    finally:
        slow.let.set()
        first.join()
    assert not seen.standing(now).troubles
    assert slow.asked == 1


def test_who_asks_during_a_short_look_is_told_what_was_seen_last(monkeypatch, now):
    slow = Slow()
    slow.let.set()
    seen = watch.Watch(slow)
    clock = [1_000.0]
    monkeypatch.setattr(watch.time, "monotonic", lambda: clock[0])
    seen.standing(now)
    slow.let.clear()
    clock[0] += watch.FRESH_SECONDS + 1
    second = threading.Thread(target=seen.standing, args=(now,))
    second.start()
    try:
        assert not seen.standing(now).troubles
        clock[0] += watch.FRESH_SECONDS
        assert standing.DATABASE in seen.standing(now).troubles
    finally:
        slow.let.set()
        second.join()


def test_the_worker_answers_with_the_endpoints_words():
    from portal.worker import _alive

    head, _, body = _alive().partition(b"\r\n\r\n")
    assert body == health.healthz(_get()).content
    assert f"Content-Length: {len(body)}".encode() in head


def _get():
    from django.test import RequestFactory

    return RequestFactory().get("/healthz")
