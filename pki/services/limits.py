"""Limits on what can be repeated without end, counted in the database: for all workers and nodes together.

Counted are failures, and what is made for who has no token; never what a good token gets. So a site of a
thousand devices behind one address is served while somebody there guesses: what would be refused anyway is
refused by a 429 from then on, and costs no write. Only a device that has proven who it is may be kept from
more than that, by its own failures.
"""

import math
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F, QuerySet
from django.utils.crypto import salted_hmac

from pki.core.errors import Refusal
from pki.core.visitors import network, site
from pki.models import EnrollmentToken, FailureCount
from pki.services.transactions import writing

# Addresses share so many rows, and sites as many, whoever comes from wherever: the table cannot be filled.
# Which of them share one is a secret, so that nobody can choose to sit in another's.
SLOTS = 65_536
# So many times as much as one address is let a site of IPv6, which has 65,536 networks like a host's own.
HOSTS_OF_A_SITE = 16
# So many are remembered as limited by one process; more cost a query each.
MOST_REMEMBERED = 10_000


class LimitReached(Refusal):
    """Too much of the same came lately."""

    def __init__(self, what: str, pause: timedelta) -> None:
        super().__init__(f"Too many {what}; try again in {math.ceil(pause.total_seconds())} seconds.")
        self.pause = pause  # until it may be tried again


class TooManyFailures(LimitReached):
    """What this address, token or device asked for was refused too often lately, and is refused again."""

    code = "too_many_failures"


class TooManyWithoutToken(LimitReached):
    """Too many enrollments without a token came from this address lately."""

    code = "too_many_without_token"


@dataclass(frozen=True)
class Limit:
    """At most so many of something within PORTAL_LIMIT_SECONDS."""

    key: str  # whose; at most 32 characters
    most: int
    what: str  # in words, after "too many"
    refusal: type[LimitReached] = TooManyFailures
    wider: "Limit | None" = None  # another one that counts the same, with others'


def of_address(address: str | None) -> Limit:
    """Failures of who shows no good token, from one address or the /64 around it, and from its /48."""
    return _of_network(
        "address",
        address,
        settings.PORTAL_LIMIT_FAILURES,
        "refused requests from this address",
        TooManyFailures,
    )


def of_token(token: EnrollmentToken) -> Limit:
    """Failures with a living token.

    Not its device's: who has found a token that is used up must not keep the device from renewing.
    """
    return Limit(
        f"token {token.pk}", settings.PORTAL_LIMIT_DEVICE_FAILURES, "refused requests with this token"
    )


def of_device(device_id: int) -> Limit:
    """Failures of a device that has proven that it is that one."""
    return Limit(
        f"device {device_id}", settings.PORTAL_LIMIT_DEVICE_FAILURES, "refused requests of this device"
    )


def without_token(address: str | None) -> Limit:
    """Enrollments that were taken without a token: each makes a device, or waits for an administrator."""
    return _of_network(
        "without token",
        address,
        settings.PORTAL_LIMIT_WITHOUT_TOKEN,
        "enrollments without a token from this address",
        TooManyWithoutToken,
    )


def _of_network(what: str, address: str | None, most: int, words: str, refusal: type[LimitReached]) -> Limit:
    around = site(address)
    wider = None
    if around:
        wider = Limit(f"{what} of site {_slot(around)}", most * HOSTS_OF_A_SITE, words, refusal)
    return Limit(f"{what} {_slot(network(address))}", most, words, refusal, wider)


def reached(limit: Limit, now: datetime) -> LimitReached | None:
    """The refusal if a limit is reached, or a wider one."""
    known = remembered(limit, now) or _is_reached(limit, now)
    return known or (reached(limit.wider, now) if limit.wider else None)


def _is_reached(limit: Limit, now: datetime) -> LimitReached | None:
    full = _current(limit.key, now).filter(count__gte=limit.most)
    since = full.values_list("since", flat=True).first()
    if since is None:
        return None
    until = min(since, now) + _length()
    _MEMORY.remember(limit.key, until, now)
    return limit.refusal(limit.what, until - now)


def remembered(limit: Limit, now: datetime) -> LimitReached | None:
    """The same, as far as this process knows without asking."""
    until = _MEMORY.until(limit.key)
    if until is None or not now < until <= now + _length():
        return remembered(limit.wider, now) if limit.wider else None
    return limit.refusal(limit.what, until - now)


def spend(limit: Limit, now: datetime) -> None:
    """Count one more, inside the caller's transaction. Raises the limit's refusal if it is reached.

    Of many at once no more than the limit come by: the statement that counts looks at what it counts up.
    Where a refusal is raised the caller's transaction goes back, and nothing is counted.
    """
    # In one order, so that no two wait for each other: addresses share rows by chance.
    for each in sorted(filter(None, (limit, limit.wider)), key=lambda each: each.key):
        _spend(each, now)


def _spend(limit: Limit, now: datetime) -> None:
    if _one_more(limit, now):
        return
    if refusal := _is_reached(limit, now):
        raise refusal
    # A window begins, perhaps for several at once: one of them makes the row, and each counts in it.
    current = _current(limit.key, now).values("pk")
    FailureCount.objects.filter(key=limit.key).exclude(pk__in=current).delete()
    FailureCount.objects.bulk_create([FailureCount(key=limit.key, since=now, count=0)], ignore_conflicts=True)
    if not _one_more(limit, now):
        raise _is_reached(limit, now) or limit.refusal(limit.what, _length())


def _one_more(limit: Limit, now: datetime) -> bool:
    return _current(limit.key, now).filter(count__lt=limit.most).update(count=F("count") + 1) > 0


def prune(now: datetime) -> int:
    """Delete the counts whose window is over; how many there were."""
    over = FailureCount.objects.filter(since__lte=now - _length())
    if not over.exists():
        return 0
    with writing():
        deleted, _ = over.delete()
    return deleted


def forget() -> None:
    """Let this process remember nobody."""
    _MEMORY.forget()


def _length() -> timedelta:
    return timedelta(seconds=settings.PORTAL_LIMIT_SECONDS)


def _current(key: str, now: datetime) -> QuerySet[FailureCount]:
    # One that is to come is of a node whose clock is ahead; by more than a window, of a clock that was wrong.
    return FailureCount.objects.filter(key=key, since__gt=now - _length(), since__lte=now + _length())


def _slot(visitor: str) -> int:
    digest = salted_hmac("pki.services.limits", visitor, algorithm="sha256").digest()
    return int.from_bytes(digest[:8], "big") % SLOTS


class _Memory:
    """Who has reached a limit, and until when. Threads may share it."""

    def __init__(self) -> None:
        self._until: dict[str, datetime] = {}
        self._lock = threading.Lock()

    def until(self, key: str) -> datetime | None:
        return self._until.get(key)

    def remember(self, key: str, until: datetime, now: datetime) -> None:
        with self._lock:
            if len(self._until) >= MOST_REMEMBERED:
                self._until = {known: end for known, end in self._until.items() if end > now}
            if len(self._until) < MOST_REMEMBERED:
                self._until[key] = until

    def forget(self) -> None:
        with self._lock:
            self._until = {}


_MEMORY = _Memory()
