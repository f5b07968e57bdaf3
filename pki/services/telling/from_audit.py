"""Notices of what happened, from the audit trail.

A mark says up to which event it was read. It moves in the transaction that keeps the notices and their
deliveries: killed at any time, nothing is told twice, and nothing is left out.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from pki.models import AuditEvent, Notice, NoticeMark
from pki.services.looking import tallies
from pki.services.telling import kinds, notices
from pki.services.telling.events import DEEDS, REFUSALS, Group, Telling
from pki.services.transactions import writing

# Events that one transaction tells of.
MOST_AT_ONCE = 50_000
# Anybody can be refused, as often as he likes.
REFUSALS_APART = timedelta(hours=1)
# Each kind of refusals → the mark up to which it was told.
_HOURLY = {kinds.REFUSED: "refusals_event_id", kinds.RENEWAL_REFUSED: "renewals_event_id"}
_READ_AT_ONCE = 2_000

Groups = dict[tuple[str, ...], Group]


def read(now: datetime) -> int:
    """Tell of the events that have settled since it was last called; how many notices.

    Of each kind of refusals at most once an hour. Several processes may call it at once.
    """
    told = _read_all("event_id", DEEDS, now)
    for kind, mark in _HOURLY.items():
        # What a clock that was ahead has told silences nobody.
        lately = Notice.objects.filter(kind=kind, at__gt=now - REFUSALS_APART, at__lte=now)
        if not lately.exists():
            told += _read_all(mark, {kind: REFUSALS[kind]}, now)
    return told


def _read_all(mark: str, tellings: Mapping[str, Telling], now: datetime) -> int:
    told, more = 0, True
    while more:
        number, more = _read_some(mark, tellings, now)
        told += number
    return told


def _read_some(mark: str, tellings: Mapping[str, Telling], now: datetime) -> tuple[int, bool]:
    """Tell of the next events; how many notices, and whether there may be more events."""
    begun = NoticeMark.objects.filter(pk=1).values_list(mark, flat=True).first() or 0
    # Gathered before the transaction: on SQLite nobody else writes during one.
    groups, end, more = _gathered(begun, tellings, now)
    if end == begun:
        return 0, False
    with writing():
        NoticeMark.objects.get_or_create(pk=1)
        if not NoticeMark.objects.filter(pk=1, **{mark: begun}).update(**{mark: end}):
            return 0, False  # somebody else was quicker, and told it
        for (kind, *_), group in groups.items():
            telling = tellings[kind]
            notices.tell(kind, telling.summary(group), now, group.count, **telling.detail(group))
    return len(groups), more


def _gathered(begun: int, tellings: Mapping[str, Telling], now: datetime) -> tuple[Groups, int, bool]:
    """What is to be told of the events after number `begun`, the last one's number, and if there are more."""
    groups: Groups = {}
    end, seen = begun, 0
    events = AuditEvent.objects.filter(pk__gt=begun).order_by("pk")
    fields = ("pk", "at", "kind", "actor", "address", "count", "detail", "device__name")
    for event in events.values(*fields)[:MOST_AT_ONCE].iterator(_READ_AT_ONCE):
        # Events get their numbers before they are committed: one with a lower number may still come.
        if not tallies.has_settled(event["at"], now):
            return groups, end, False
        end, seen = event["pk"], seen + 1
        telling = tellings.get(event["kind"])
        if telling is not None and not telling.passes_over(event):
            alike = (str(event["detail"].get(key)) for key in telling.alike)
            groups.setdefault((event["kind"], *alike), telling.group_of(event)).add(event)
    return groups, end, seen == MOST_AT_ONCE
