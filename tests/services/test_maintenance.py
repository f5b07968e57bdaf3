"""Each task is done by one of all, and one that fails keeps no other from being done."""

import threading
from datetime import timedelta

import pytest
from django.db import DatabaseError

from pki.keystore import KeystoreError, keystore
from pki.models import Certificate, Delivery, Notice, Revocation, RevocationList, Tally, TaskRun
from pki.services import maintenance
from pki.services.auditing import chain, sealing
from pki.services.maintenance import Outcome, Task
from pki.services.revoking import revocation
from pki.services.telling import notices, pruning, webhooks
from pki.services.transactions import alone
from tests.services.cast import DAY, SECOND, TESTER, at_once, issue, registered

MINUTE = timedelta(minutes=1)


@pytest.fixture
def these(monkeypatch):
    """Have other tasks done than the real ones."""

    def use(*tasks):
        monkeypatch.setattr(maintenance, "tasks", lambda: tasks)

    return use


def run(now, **options):
    return list(maintenance.run(lambda: now, **options))


def fails(error):
    def what(now):
        raise error

    return what


@pytest.mark.django_db
def test_all_that_is_due_is_done(ca, now):
    certificate = issue(registered("door", now), now)
    revocation.revoke([certificate], Revocation.Reason.KEY_COMPROMISE, TESTER, now)
    later = now + 2 * MINUTE
    outcomes = run(later)
    assert not [outcome for outcome in outcomes if outcome.failed]
    assert {outcome.task for outcome in outcomes} == {task.name for task in maintenance.tasks()}
    shard = RevocationList.objects.get(issuer=certificate.issuer, shard=certificate.crl_shard)
    assert shard.entries == 1
    assert Tally.objects.get(kind="revoked").count == 1
    assert Notice.objects.get(kind="certificate.revoked").count == 1


@pytest.mark.django_db
def test_the_second_time_there_is_nothing_left_to_do(ca, now):
    certificate = issue(registered("door", now), now)
    revocation.revoke([certificate], Revocation.Reason.KEY_COMPROMISE, TESTER, now)
    run(now + 2 * MINUTE)
    numbers = RevocationList.objects.order_by("pk").values_list("number", flat=True)
    before = Notice.objects.count(), list(numbers)
    again = {outcome.task: outcome.said.partition(" ")[0] for outcome in run(now + 2 * MINUTE + SECOND)}
    assert int(again.pop("audit trail")) > 0, "what the first run did is on record, and sealed now"
    assert set(again.values()) == {"0"}
    assert (Notice.objects.count(), list(numbers.all())) == before


@pytest.mark.django_db
def test_listeners_certificates_that_are_due_are_renewed(ca, now, settings):
    settings.PORTAL_HOSTNAMES = ["localhost", "127.0.0.1"]
    (before,) = Certificate.objects.filter(listener="hello")
    run(now + 61 * DAY)
    newest = Certificate.objects.filter(listener="hello").latest("pk")
    assert newest.not_after > before.not_after
    assert Certificate.objects.filter(listener="hello").count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    "error",
    [
        DatabaseError("no such table"),
        KeystoreError("The key cannot be read."),
        webhooks.WebhookRefused("No."),
        PermissionError(13, "Permission denied"),
        ZeroDivisionError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_task_that_fails_does_not_stop_the_others(these, now, error, caplog):
    done = []
    these(
        Task("first", fails(error), everywhere=True),
        Task("second", fails(error)),
        Task("third", done.append),
    )
    outcomes = run(now)
    assert [(outcome.task, outcome.failed) for outcome in outcomes] == [
        ("first", True),
        ("second", True),
        ("third", False),
    ]
    assert len(done) == 1
    assert "second failed" in caplog.text


@pytest.mark.django_db
def test_a_failure_is_told_once_a_day_for_each_task(these, now):
    these(
        Task("one", fails(KeystoreError("The key is gone."))), Task("two", fails(KeystoreError("Gone too.")))
    )
    for hours in (0, 1, 23):
        run(now + timedelta(hours=hours))
    found = Notice.objects.filter(kind="maintenance.failed")
    assert sorted(found.values_list("detail__task", flat=True)) == ["one", "two"]
    assert "The key is gone." in found.get(detail__task="one").summary
    run(now + DAY + SECOND)
    assert found.count() == 4


@pytest.mark.django_db
def test_when_each_ran_last_is_kept(these, now):
    these(Task("good", lambda now: 3, "made"), Task("bad", fails(KeystoreError("Gone."))))
    run(now)
    assert list(TaskRun.objects.order_by("name").values_list("name", "at", "failed", "said")) == [
        ("bad", now, True, "Gone."),
        ("good", now, False, "3 made"),
    ]
    run(now + MINUTE)
    assert set(TaskRun.objects.values_list("at", flat=True)) == {now + MINUTE}


@pytest.mark.django_db(transaction=True)
def test_two_nodes_at_once_do_nothing_twice(these, now):
    inside, may_end, done = threading.Event(), threading.Event(), []

    def slow(moment):
        done.append(moment)
        inside.set()
        may_end.wait(10)

    these(Task("here", lambda now: 0, "", everywhere=True), Task("for all", slow))

    def first():
        return run(now)

    def second():
        inside.wait(10)
        try:
            return run(now)
        finally:
            may_end.set()

    one, other = at_once(first, second)
    assert [outcome.task for outcome in one] == ["here", "for all"]
    assert [outcome.task for outcome in other] == ["here", "the rest"]
    assert len(done) == 1


@pytest.mark.django_db
def test_who_finds_that_it_was_done_a_moment_ago_leaves_it(these, now):
    done = []
    these(Task("for all", done.append))
    run(now, rested=MINUTE)
    run(now + 59 * SECOND, rested=MINUTE)
    assert len(done) == 1
    run(now + 61 * SECOND, rested=MINUTE)
    assert len(done) == 2


@pytest.mark.django_db
@pytest.mark.parametrize("wrong", [DAY, 400 * DAY, -DAY, -400 * DAY])
def test_a_run_by_a_wrong_clock_lets_nobody_rest(these, now, wrong):
    done = []
    these(Task("for all", done.append))
    run(now + wrong, rested=MINUTE)
    run(now, rested=MINUTE)
    assert done == [now + wrong, now]
    assert TaskRun.objects.get().at == now


@pytest.mark.django_db
def test_clocks_that_differ_by_seconds_have_nothing_done_twice(these, now):
    done = []
    these(Task("for all", done.append))
    run(now + 10 * SECOND, rested=MINUTE)
    run(now, rested=MINUTE)
    assert len(done) == 1


@pytest.mark.django_db
def test_a_failure_that_was_told_by_a_clock_that_was_ahead_is_told_again(these, now):
    these(Task("one", fails(KeystoreError("The key is gone."))))
    for moment in (now + 400 * DAY, now, now + MINUTE):
        run(moment)
    assert sorted(Notice.objects.values_list("at", flat=True)) == [now, now + 400 * DAY]


@pytest.mark.django_db
def test_what_workers_do_within_seconds_is_left_to_them_and_done_by_whoever_is_no_worker(these, now):
    done = []
    these(Task("lists", done.append, by_workers=True), Task("for all", done.append))
    assert [outcome.task for outcome in run(now, rested=MINUTE)] == ["for all"]
    assert [outcome.task for outcome in run(now + 2 * MINUTE)] == ["lists", "for all"]


@pytest.mark.django_db
def test_what_each_does_is_done_by_who_leaves_the_rest_to_another(these, now):
    """And tells nobody that the rest was done."""
    done = []
    these(Task("rest", done.append), Task("trail", done.append, by_each=True))
    assert [outcome.task for outcome in run(now, rested=MINUTE)] == ["rest", "trail"]
    later = now + 59 * SECOND
    assert [outcome.task for outcome in run(later, rested=MINUTE)] == ["the rest", "trail"]
    assert done == [now, now, later]
    assert set(TaskRun.objects.values_list("at", flat=True)) == {now}
    with alone("maintenance") as free:
        assert free
        assert at_once(lambda: [outcome.task for outcome in run(later)]) == [["the rest", "trail"]]


@pytest.mark.django_db
def test_a_node_without_the_audit_key_that_is_always_earlier_keeps_nobody_from_signing(ca, now):
    """`audit new_key` was run on one node, and keys/ was not copied to the other yet."""
    run(now)
    reference = sealing.change_key(TESTER, now).key_reference
    (path,) = (ca / "keys").glob(f"{reference.removeprefix('file:')}*")
    elsewhere = ca / path.name
    for minute in range(1, 21):
        path.rename(elsewhere)
        keystore.cache_clear()
        registered(f"door-{minute}", now)
        outcomes = run(now + minute * MINUTE, rested=45 * SECOND)
        assert not [outcome for outcome in outcomes if outcome.failed]
        elsewhere.rename(path)
        keystore.cache_clear()
        run(now + minute * MINUTE + 20 * SECOND, rested=45 * SECOND)
        assert chain.last_checkpoint().count == chain.last_seal().position
    assert not Notice.objects.filter(kind="maintenance.failed").exists()


@pytest.mark.django_db
def test_who_goes_away_in_the_middle_lets_the_others_in(these, now):
    these(Task("one", lambda now: 0), Task("two", lambda now: 0))
    running = maintenance.run(lambda: now)
    assert next(running) == Outcome("one", "0 ")
    assert at_once(lambda: [outcome.task for outcome in run(now)]) == [["the rest"]]
    running.close()
    assert [outcome.task for outcome in run(now)] == ["one", "two"]


# --- Forgetting ---------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_what_was_told_long_ago_is_forgotten(now):
    webhooks.add("ops", "https://hooks.example/", [], TESTER, now)
    for age in (0, 89, 91, 399, 401):
        notices.tell("certificate.revoked", f"{age} days ago", now - age * DAY)
    assert pruning.prune(now) == 4
    assert set(Notice.objects.values_list("summary", flat=True)) == {
        f"{age} days ago" for age in (0, 89, 91, 399)
    }
    assert set(Delivery.objects.values_list("notice__summary", flat=True)) == {"0 days ago", "89 days ago"}


@pytest.mark.django_db
def test_much_that_was_told_long_ago_is_forgotten_in_pieces(now, monkeypatch):
    monkeypatch.setattr(pruning, "_AT_ONCE", 2)
    for _ in range(5):
        notices.tell("certificate.revoked", "long ago", now - 500 * DAY)
    assert pruning.prune(now) == 5
    assert not Notice.objects.exists()


@pytest.mark.django_db
def test_nothing_to_forget_is_two_queries(now, django_assert_num_queries):
    with django_assert_num_queries(2):
        assert pruning.prune(now) == 0
