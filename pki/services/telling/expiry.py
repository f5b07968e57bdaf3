"""Telling of certificates and issuers that end soon and were not replaced, once for each threshold.

Certificates are looked at when they come within a threshold, and only then: of a million, those of an hour. A
mark says for each profile and threshold up to which end they were looked at. The shortest threshold goes on
from its mark, however old that is: what ended while Hatchery was away is told of too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Exists, OuterRef, Q, QuerySet

from pki.core import expiry
from pki.models import Certificate, Device, ExpiryMark, ExpiryWarning, Issuer, Profile
from pki.services.counting import Bounded, bounded
from pki.services.issuing.dependence import lost
from pki.services.revoking.revocation import unrevoked
from pki.services.telling import kinds, moments, notices
from pki.services.transactions import writing

ISSUER_DAYS = (90, 30, 7, 1)
# Issuers that ended before are no news; until then it is known whether they were told of.
_LONGEST_AGO = timedelta(days=expiry.LONGEST_DAYS)
# Certificates that one notice tells of, and one transaction.
MOST_AT_ONCE = 20_000
_BATCH = 1_000  # rows of one INSERT


@dataclass(frozen=True)
class _Look:
    """At certificates of a profile that end after one moment and no later than another."""

    profile: Profile
    days: int
    lead: timedelta
    after: datetime
    until: datetime


class _Ending(NamedTuple):
    pk: int
    common_name: str
    serial: str
    not_before: datetime
    not_after: datetime
    issuer_id: int
    device_state: str | None


def watch(now: datetime) -> int:
    """Tell of what came nearer to its end than a threshold since it was last looked at; how many notices.

    For who is alone at it. Broken off, what was told stays so, and the rest is told next time.
    """
    distrusted = lost()
    in_use = Issuer.objects.filter(state=Issuer.State.ACTIVE, not_after__gt=now - _LONGEST_AGO)
    told = sum(_tell_of_issuer(issuer, now) for issuer in in_use.exclude(pk__in=distrusted).order_by("pk"))
    for profile in Profile.objects.order_by("pk"):
        for look in _due(profile, now):
            told += _tell_of_certificates(look, distrusted, now)
    return told


def not_renewed(now: datetime, within: timedelta) -> Bounded:
    """How many certificates of devices end within this time though somebody was warned of them, and stand
    and were not replaced; up to 30 hours late, as warnings are.

    By the warnings, because those are few: all that end soon are a third of a fleet that is well.
    """
    ending = Certificate.objects.filter(
        unrevoked(),
        ~Exists(_newer().filter(device=OuterRef("device"))),
        device__isnull=False,
        not_after__gt=now,
        not_after__lte=now + within,
        pk__in=ExpiryWarning.objects.filter(certificate__isnull=False).values("certificate"),
    )
    return bounded(ending.exclude(device__state=Device.State.RETIRED))


def how_often(lead: timedelta) -> timedelta:
    """How often certificates are looked at that are told of so long before their end: those that come within
    30 days are told of together, once in 30 hours, and none ends between two looks.
    """
    return max(lead / 24, min(timedelta(hours=1), lead / 2))


def _tell_of_issuer(issuer: Issuer, now: datetime) -> bool:
    leads = expiry.lead_times(ISSUER_DAYS, issuer.not_after - issuer.not_before)
    passed = [days for days, lead in leads if now >= issuer.not_after - lead]
    warned = set(ExpiryWarning.objects.filter(issuer=issuer).values_list("days", flat=True))
    if not passed or min(passed) in warned:
        return False
    ends = "ended" if issuer.not_after < now else "ends"
    with writing():
        notice = notices.tell(
            kinds.ISSUER_EXPIRING,
            f"The issuer {issuer} {ends} on {issuer.not_after:%Y-%m-%d}; make its successor.",
            now,
            issuer=issuer.name,
            days=min(passed),
            not_after=moments.written(issuer.not_after),
        )
        # The longer ones are over; nobody is told of them any more.
        ExpiryWarning.objects.bulk_create(
            ExpiryWarning(issuer=issuer, days=days, notice=notice) for days in passed if days not in warned
        )
    return True


def _due(profile: Profile, now: datetime) -> Iterator[_Look]:
    """What is to be looked at now, the shortest threshold first."""
    leads = expiry.lead_times(profile.warn_days, profile.lifetime)
    marks = _marks(profile, [days for days, _ in leads], now)
    # What is within a shorter threshold as well is told of by that one alone.
    nearest: datetime | None = None
    for days, lead in leads:
        mark, until = marks.get(days), now + lead
        if mark is None or now >= mark.looked_at + how_often(lead):
            up_to = mark.up_to if mark else now
            after = max(nearest or up_to, up_to)
            yield _Look(profile, days, lead, after, max(after, until))
        nearest = until


def _marks(profile: Profile, thresholds: list[int], now: datetime) -> dict[int, ExpiryMark]:
    """The marks of a profile's thresholds, without those that say nothing any more; who was told of is known
    without them.
    """
    found = list(ExpiryMark.objects.filter(profile=profile))
    # One of a threshold that comes back later would begin where it left off; one of a clock that was ahead
    # would keep silent until then.
    wrong = [mark for mark in found if mark.days not in thresholds or mark.looked_at > now]
    if wrong:
        ExpiryMark.objects.filter(pk__in=[mark.pk for mark in wrong]).delete()
    return {mark.days: mark for mark in found if mark not in wrong}


def _tell_of_certificates(look: _Look, distrusted: set[int], now: datetime) -> int:
    """Tell of the certificates of a look, and set its mark; how many notices."""
    told, last = 0, None
    while True:
        found = [_Ending._make(row) for row in _ending(look, last)[:MOST_AT_ONCE]]
        late = [each for each in found if _is_told_of(each, look, distrusted, now)]
        ended = [each for each in late if each.not_after < now]
        with writing():
            for some in (ended, late[len(ended) :]):
                if some:
                    told += 1
                    _tell(look, some, now)
            if len(found) < MOST_AT_ONCE:
                ExpiryMark.objects.update_or_create(
                    profile=look.profile, days=look.days, defaults={"looked_at": now, "up_to": look.until}
                )
                return told
        last = found[-1]


def _ending(look: _Look, last: _Ending | None) -> QuerySet[Certificate, tuple[Any, ...]]:
    """Certificates of a look that stand, were neither replaced nor told of, by their ends, after `last`."""
    newer = _newer()
    rows = Certificate.objects.filter(
        unrevoked(),
        ~Exists(newer.filter(device=OuterRef("device"))),
        # One node's newer certificate counts for all: whose key is where, is known there alone.
        ~Exists(newer.filter(listener=OuterRef("listener")).exclude(listener="")),
        ~Exists(ExpiryWarning.objects.filter(certificate=OuterRef("pk"), days=look.days)),
        profile=look.profile,
        not_after__gt=look.after,
        not_after__lte=look.until,
    )
    if last is not None:
        behind = Q(not_after__gt=last.not_after) | Q(not_after=last.not_after, pk__gt=last.pk)
        rows = rows.filter(behind, not_after__gte=last.not_after)
    return rows.order_by("not_after", "pk").values_list(
        "pk", "common_name", "serial", "not_before", "not_after", "issuer", "device__state"
    )


def _newer() -> QuerySet[Certificate]:
    return Certificate.objects.filter(unrevoked(), pk__gt=OuterRef("pk"), not_after__gt=OuterRef("not_after"))


def _is_told_of(certificate: _Ending, look: _Look, distrusted: set[int], now: datetime) -> bool:
    # Judged here: told of issuers and states, a planner takes their indexes and not that of the ends.
    if certificate.issuer_id in distrusted or certificate.device_state == Device.State.RETIRED:
        return False
    # One that lives shorter than the profile says by now, or than its issuer, is not late yet.
    late = look.lead <= expiry.left_when_late(certificate.not_after - certificate.not_before)
    return late or certificate.not_after < now


def _tell(look: _Look, late: list[_Ending], now: datetime) -> None:
    """Tell of certificates that end soon, or of some that have ended."""
    several, ended = len(late) > 1, late[0].not_after < now
    number = f"{len(late):,} certificates" if several else f"The certificate of {late[0].common_name}"
    ends = "ended" if ended else "end soon" if several else "ends soon"
    notice = notices.tell(
        kinds.EXPIRING,
        f"{number} ({look.profile}) {ends} and {'were' if several else 'was'} not replaced; "
        f"the first on {late[0].not_after:%Y-%m-%d %H:%M} UTC.",
        now,
        len(late),
        profile=look.profile.name,
        days=look.days,
        ended=ended or None,
        certificates=[
            {"name": each.common_name, "serial": each.serial, "not_after": moments.written(each.not_after)}
            for each in late[: notices.MOST_NAMED]
        ],
    )
    ExpiryWarning.objects.bulk_create(
        [ExpiryWarning(certificate_id=each.pk, days=look.days, notice=notice) for each in late],
        batch_size=_BATCH,
    )
