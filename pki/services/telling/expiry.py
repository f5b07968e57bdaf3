"""Telling of certificates and issuers that end soon and were not replaced, once for each threshold.

Certificates are looked at when they come within a threshold, and only then: of a million, those of an hour. A
mark says for each profile and threshold up to which end they were looked at.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Exists, OuterRef, Q, QuerySet

from pki.core import expiry
from pki.models import Certificate, Device, ExpiryMark, ExpiryWarning, Issuer, Profile
from pki.services.issuing import authorities
from pki.services.revoking.revocation import unrevoked
from pki.services.telling import kinds, notices
from pki.services.transactions import writing

ISSUER_DAYS = (90, 30, 7, 1)
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
    standing, _ = authorities.trusted(now)
    active = [issuer for issuer in standing if issuer.state == Issuer.State.ACTIVE]
    told = sum(_tell_of_issuer(issuer, now) for issuer in active)
    issuers = {issuer.pk for issuer in standing}
    for profile in Profile.objects.order_by("pk"):
        for look in _due(profile, now):
            told += _tell_of_certificates(look, issuers, now)
    return told


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
    with writing():
        notice = notices.tell(
            kinds.ISSUER_EXPIRING,
            f"The issuer {issuer} ends on {issuer.not_after:%Y-%m-%d}; make its successor.",
            now,
            issuer=issuer.name,
            days=min(passed),
            not_after=notices.moment(issuer.not_after),
        )
        # The longer ones are over; nobody is told of them any more.
        ExpiryWarning.objects.bulk_create(
            ExpiryWarning(issuer=issuer, days=days, notice=notice) for days in passed if days not in warned
        )
    return True


def _due(profile: Profile, now: datetime) -> Iterator[_Look]:
    """What is to be looked at now, the shortest threshold first."""
    marks = {mark.days: mark for mark in ExpiryMark.objects.filter(profile=profile)}
    # What is within a shorter threshold as well is told of by that one alone.
    nearest = now
    for days, lead in expiry.lead_times(profile.warn_days, profile.lifetime):
        mark, until = marks.get(days), now + lead
        if mark is None or now >= mark.looked_at + how_often(lead):
            after = max(nearest, mark.up_to) if mark else nearest
            yield _Look(profile, days, lead, after, max(after, until))
        nearest = until


def _tell_of_certificates(look: _Look, issuers: set[int], now: datetime) -> int:
    """Tell of the certificates of a look, and set its mark; how many notices."""
    told, last = 0, None
    while True:
        found = [_Ending._make(row) for row in _ending(look, last)[:MOST_AT_ONCE]]
        late = [each for each in found if _is_told_of(each, look, issuers)]
        with writing():
            if late:
                told += 1
                _tell(look, late, now)
            if len(found) < MOST_AT_ONCE:
                ExpiryMark.objects.update_or_create(
                    profile=look.profile, days=look.days, defaults={"looked_at": now, "up_to": look.until}
                )
                return told
        last = found[-1]


def _ending(look: _Look, last: _Ending | None) -> QuerySet[Certificate, tuple[Any, ...]]:
    """Certificates of a look that stand, were neither replaced nor told of, by their ends, after `last`."""
    newer = Certificate.objects.filter(
        unrevoked(), pk__gt=OuterRef("pk"), not_after__gt=OuterRef("not_after")
    )
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


def _is_told_of(certificate: _Ending, look: _Look, issuers: set[int]) -> bool:
    # Judged here: told of issuers and states, a planner takes their indexes and not that of the ends.
    if certificate.issuer_id not in issuers or certificate.device_state == Device.State.RETIRED:
        return False
    # One that lives shorter than the profile says by now, or than its issuer, is not late yet.
    return look.lead <= expiry.left_when_late(certificate.not_after - certificate.not_before)


def _tell(look: _Look, late: list[_Ending], now: datetime) -> None:
    number = f"{len(late):,} certificates" if len(late) > 1 else f"The certificate of {late[0].common_name}"
    ends = "end" if len(late) > 1 else "ends"
    notice = notices.tell(
        kinds.EXPIRING,
        f"{number} ({look.profile}) {ends} soon and {'were' if len(late) > 1 else 'was'} not replaced; "
        f"the first on {late[0].not_after:%Y-%m-%d %H:%M} UTC.",
        now,
        len(late),
        profile=look.profile.name,
        days=look.days,
        certificates=[
            {"name": each.common_name, "serial": each.serial, "not_after": notices.moment(each.not_after)}
            for each in late[: notices.MOST_NAMED]
        ],
    )
    ExpiryWarning.objects.bulk_create(
        [ExpiryWarning(certificate_id=each.pk, days=look.days, notice=notice) for each in late],
        batch_size=_BATCH,
    )
