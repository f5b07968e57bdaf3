"""Periodic work: what Hatchery does without being asked, task by task."""

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from operator import attrgetter

from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from pki.core.errors import Refusal
from pki.keystore import KeystoreError
from pki.models import Notice, TaskRun
from pki.services import complaints, limits
from pki.services.audit import HATCHERY
from pki.services.auditing import audit_file, sealing, syslog
from pki.services.complaints import COMPLAINTS
from pki.services.enrolling import old_refusals
from pki.services.issuing import listener_certificates
from pki.services.looking import tallies
from pki.services.measuring import counted
from pki.services.publishing import publication, revocation_lists
from pki.services.publishing.responders import RESPONDERS
from pki.services.renewing import superseding
from pki.services.rotating import campaigns
from pki.services.telling import deliveries, expiry, from_audit, kinds, notices, pruning
from pki.services.transactions import alone, one_at_a_time, writing
from pki.services.trusting import bundle, cross_certificates, standby_keys

log = logging.getLogger("hatchery.maintenance")

# Between two notices that the same task fails.
_FAILURES_APART = timedelta(hours=24)
_LONGEST_SAID = 200
_TELLING = hashlib.sha256(b"maintenance that failed").hexdigest()
_ELSEWHERE = "Another process is at it, or was a moment ago."


@dataclass(frozen=True)
class Task:
    """Something to be done now and then, which costs little if there is nothing to do."""

    name: str
    what: Callable[[datetime], object]  # given the time; how many it did, of what `unit` says
    unit: str = ""
    everywhere: bool = False  # by each process, or by one for all
    by_workers: bool = False  # who do it within seconds, beside maintenance (portal.housekeeping)
    by_each: bool = False  # also by who leaves the rest to another: it lets in one at a time by itself


@dataclass(frozen=True)
class Outcome:
    """What a task did, or why it failed."""

    task: str
    said: str
    failed: bool = False


def tasks() -> tuple[Task, ...]:
    """All there is to do, in the order in which it is done."""
    return (
        Task("listener certificates", _renew_listeners, "renewed", everywhere=True),
        Task("OCSP responders", RESPONDERS.renew_due, "renewed", everywhere=True),
        Task("standby keys", standby_keys.say_which_are_here, "seen", everywhere=True),
        # Whatever else takes long: an event that is not sealed yet is the one that can still be changed.
        # By each: the key that signs may not be on the node that always comes a moment earlier.
        Task("audit trail", sealing.seal, "events sealed", by_each=True),
        Task("audit syslog", syslog.send_due, "messages sent"),
        # Before the lists that say so.
        Task("renewed certificates", superseding.supersede_due, "superseded"),
        Task("campaigns", campaigns.step, "led"),
        Task("cross-certificates", cross_certificates.renew_due, "made"),
        Task("trust bundle", bundle.publish_due, "published"),
        Task("shards", revocation_lists.roll, "opened"),
        Task("shards of CRLs", publication.publish_shards, "made", by_workers=True),
        Task("full CRLs", publication.publish_full_lists, "made", by_workers=True),
        Task("tallies", _roll_up, "events tallied"),
        Task("expiry watch", expiry.watch, "notices"),
        Task("events to tell of", from_audit.read, "notices"),
        Task("ended limits", limits.prune, "forgotten"),
        Task("old refusals", old_refusals.prune, "forgotten"),
        # After all that makes notices.
        Task("deliveries", deliveries.send_due, "delivered"),
        Task("old notices", pruning.prune, "forgotten"),
        # After what it writes was sealed.
        Task("audit file", audit_file.write_due, "lines written", everywhere=True),
    )


def run(clock: Callable[[], datetime] = timezone.now, rested: timedelta = timedelta(0)) -> Iterator[Outcome]:
    """Do each task, and say after each what became of it: one that fails does not stop the others.

    Those of one process for all are left to another that is at them, but for a few. `rested` is for workers:
    those tasks are left to the next time if any process was at them less than that ago, and some are done
    beside this anyway.
    """
    before = list(takewhile(attrgetter("everywhere"), tasks()))
    for task in before:
        yield _done(task, clock())
    try:
        yield from _for_all_or_none(clock, rested)
    except DatabaseError as error:
        yield _failed("the rest", complaints.reason(error))
    except OSError as error:
        yield _failed("the rest", _why(error))
    for task in tasks()[len(before) :]:
        if task.everywhere:
            yield _done(task, clock())


def _for_all_or_none(clock: Callable[[], datetime], rested: timedelta) -> Iterator[Outcome]:
    with alone("maintenance") as free:
        if free and not _was_done(clock(), rested):
            yield from _for_all(clock, bool(rested))
            return
    yield Outcome("the rest", _ELSEWHERE)
    for task in tasks():
        if task.by_each:
            # Not kept: when each ran last tells who is to do the rest.
            yield _done(task, clock())


def _was_done(now: datetime, rested: timedelta) -> bool:
    """Whether any process was at the tasks of one for all less than `rested` ago."""
    if not rested:
        return False
    # One that is to come was noted by a clock that was ahead, and is nobody's reason to rest.
    return TaskRun.objects.filter(at__gt=now - rested, at__lt=now + rested).exists()


def _for_all(clock: Callable[[], datetime], by_worker: bool) -> Iterator[Outcome]:
    for task in tasks():
        if not task.everywhere and not (by_worker and task.by_workers):
            at, began = clock(), time.monotonic()
            outcome = _done(task, at)
            _keep(outcome, at, int((time.monotonic() - began) * 1000))
            yield outcome


def _done(task: Task, now: datetime) -> Outcome:
    try:
        did = task.what(now)
    except (DatabaseError, KeystoreError) as error:
        outcome = _failed(task.name, complaints.reason(error))
    except Refusal as refusal:
        outcome = _failed(task.name, refusal.detail)
    except OSError as error:
        outcome = _failed(task.name, _why(error))
    except Exception as error:
        log.exception("Maintenance: %s failed", task.name)
        outcome = _failed(task.name, f"A fault of Hatchery ({type(error).__name__}); see its log.")
    else:
        return Outcome(task.name, f"{int(did):,} {task.unit}" if isinstance(did, int) else "done")
    _tell_of(outcome, now)
    return outcome


def _why(error: OSError) -> str:
    return f"{error.filename or 'The system'}: {error.strerror or type(error).__name__}."


def _failed(task: str, why: str) -> Outcome:
    COMPLAINTS.say(log, f"Maintenance: {task} failed", why)
    counted.MAINTENANCE_FAILURES.count(task)
    return Outcome(task, why, failed=True)


def _tell_of(outcome: Outcome, now: datetime) -> None:
    """Tell of a task that fails, once a day."""
    try:
        # Each worker does some of the tasks, and all fail in the same second.
        with writing():
            one_at_a_time(_TELLING)
            if outcome.task not in _told_of_lately(now):
                summary = f"Maintenance: {outcome.task} failed. {outcome.said}"
                notices.tell(kinds.MAINTENANCE_FAILED, summary, now, task=outcome.task, reason=outcome.said)
    except (DatabaseError, OSError):
        pass  # it was said in the log


def _told_of_lately(now: datetime) -> list[str]:
    lately = Notice.objects.filter(kind=kinds.MAINTENANCE_FAILED, at__gt=now - _FAILURES_APART, at__lte=now)
    return [detail.get("task") for detail in lately.values_list("detail", flat=True)]


def _keep(outcome: Outcome, at: datetime, milliseconds: int) -> None:
    said = {"failed": outcome.failed, "said": outcome.said[:_LONGEST_SAID]}
    try:
        with writing():
            TaskRun.objects.update_or_create(
                name=outcome.task, defaults={"at": at, "milliseconds": milliseconds, **said}
            )
    except DatabaseError:
        pass  # the next one that is kept says when maintenance ran


def _roll_up(now: datetime) -> int:
    tallied = 0
    while some := tallies.roll_up(now):
        tallied += some
        if some < tallies.BATCH:
            break
    return tallied


def _renew_listeners(now: datetime) -> int:
    listeners = listener_certificates.certified(settings.PORTAL_LISTENERS)
    return listener_certificates.renew_due(listeners, settings.PORTAL_HOSTNAMES, HATCHERY, now)
