"""What happened a day, and how many devices there are: kept, because counting a large table is slow.

The audit trail is the source. A worker tallies what is new in it every minute; a reader adds the rest.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Sum

from pki.models import AuditEvent, Certificate, Device, Tally, TallyMark
from pki.services.transactions import writing

# Events get their numbers before they are committed: for so long, one with a lower number may still come.
SETTLED = timedelta(seconds=60)
# One from further ahead was recorded by a clock that was wrong, and is not waited for.
AHEAD = timedelta(hours=1)
# Events that are tallied in one transaction.
BATCH = 5_000
# Of what is not tallied yet, a reader looks at so many events at most.
MOST_READ = 20_000

ENROLLED, RENEWED, REVOKED = "enrolled", "renewed", "revoked"
REFUSED, TURNED_AWAY = "refused", "turned away"  # enrollments, and handshakes
DEEDS = (ENROLLED, RENEWED, REVOKED, REFUSED, TURNED_AWAY)

Counts = Counter[tuple[str, date]]


def untallied() -> Counts:
    """What is in the audit trail and not in the tallies yet; who asks both questions below reads it once."""
    return _counted(_rows(_pending(_mark())[:MOST_READ]))


def devices_by_state(rest: Counts) -> dict[str, int]:
    """How many devices are in each state, with the `rest` that is `untallied`."""
    totals = {_devices(state): 0 for state in Device.State}
    kept = Tally.objects.filter(kind__in=totals).values_list("kind").annotate(Sum("count"))
    totals |= dict(kept)
    for (kind, _), number in rest.items():
        if kind in totals:
            totals[kind] += number
    return {str(state): totals[_devices(state)] for state in Device.State}


def by_day(since: date, rest: Counts) -> dict[str, dict[date, int]]:
    """How often each of DEEDS was done, a day (UTC), since a day; days without any are left out."""
    days: dict[str, dict[date, int]] = {deed: {} for deed in DEEDS}
    for kind, day, count in Tally.objects.filter(kind__in=DEEDS, day__gte=since).values_list(
        "kind", "day", "count"
    ):
        days[kind][day] = count
    for (kind, day), number in rest.items():
        if kind in days and day >= since:
            days[kind][day] = days[kind].get(day, 0) + number
    return days


def roll_up(now: datetime) -> int:
    """Tally the next events that have settled; how many. Several processes may call it at once."""
    if not _pending(_mark()).filter(Q(at__lte=now - SETTLED) | Q(at__gt=now + AHEAD)).exists():
        return 0
    with writing():
        mark, _ = TallyMark.objects.select_for_update().get_or_create(pk=1)
        events = []
        for event in _rows(_pending(mark.event_id)[:BATCH]):
            if not has_settled(event["at"], now):
                break
            events.append(event)
        if not events:
            return 0
        for (kind, day), number in sorted(_counted(events).items()):
            tally, _ = Tally.objects.get_or_create(kind=kind, day=day)
            Tally.objects.filter(pk=tally.pk).update(count=F("count") + number)
        mark.event_id = events[-1]["pk"]
        mark.save()
    return len(events)


def has_settled(at: datetime, now: datetime) -> bool:
    """Whether an event of that moment is there with all that have lower numbers."""
    return not now - SETTLED < at <= now + AHEAD


def _mark() -> int:
    return TallyMark.objects.values_list("event_id", flat=True).filter(pk=1).first() or 0


def _pending(mark: int) -> QuerySet[AuditEvent]:
    return AuditEvent.objects.filter(pk__gt=mark).order_by("pk")


def _rows(events: QuerySet[AuditEvent]) -> Iterable[Mapping[str, Any]]:
    earlier = Certificate.objects.filter(device=OuterRef("device"), pk__lt=OuterRef("certificate"))
    return events.annotate(again=Exists(earlier)).values(
        "pk", "at", "kind", "count", "device_id", "detail", "again"
    )


def _counted(events: Iterable[Mapping[str, Any]]) -> Counts:
    counts: Counts = Counter()
    for event in events:
        day = event["at"].astimezone(UTC).date()
        match event["kind"]:
            case "certificate.issued" if event["device_id"] is not None:
                counts[RENEWED if event["again"] else ENROLLED, day] += 1
            case "certificate.revoked":
                counts[REVOKED, day] += 1
            case "enrollment.refused":
                counts[REFUSED, day] += event["count"]
            case "handshake.refused":
                counts[TURNED_AWAY, day] += event["count"]
            case "device.registered":
                counts[_devices(Device.State.ACTIVE), day] += 1
            case "device.active" | "device.suspended" | "device.retired":
                after = Device.State(event["kind"].removeprefix("device."))
                counts[_devices(_before(event["detail"], after)), day] -= 1
                counts[_devices(after), day] += 1
    return counts


def _before(detail: dict[str, Any], after: Device.State) -> Device.State:
    # Events of the first version do not say what the state was before.
    usual = Device.State.SUSPENDED if after == Device.State.ACTIVE else Device.State.ACTIVE
    return Device.State(detail.get("before", usual))


def _devices(state: Device.State) -> str:
    return f"devices.{state}"
