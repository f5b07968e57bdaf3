"""How far the audit trail is proven, for the console: by bounded queries, however long the trail is."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from pki.models import AuditCheckpoint, AuditEvent, AuditSeal
from pki.services.auditing import chain, checkpoints, witness

# Of the newest events so many are looked at.
MOST_LOOKED_AT = 1_000
_CUT_OFF_SAID = timedelta(days=30)


@dataclass(frozen=True)
class AuditStanding:
    """What is proven, and what is not yet."""

    last: AuditCheckpoint | None
    unsealed: int  # of the newest events, MOST_LOOKED_AT at most
    unsigned: int  # sealed since the last checkpoint
    is_overdue: bool

    @property
    def shown_unsealed(self) -> str:
        return f"{self.unsealed:,}" + ("+" if self.unsealed >= MOST_LOOKED_AT else "")


def now_is(now: datetime) -> AuditStanding:
    """How the trail stands at `now`."""
    newest = dict(AuditEvent.objects.order_by("-pk").values_list("pk", "at")[:MOST_LOOKED_AT])
    seals = AuditSeal.objects.filter(event_id__gte=min(newest, default=0))
    unsealed = newest.keys() - set(seals.values_list("event_id", flat=True))
    last, seal = chain.last_checkpoint(), chain.last_seal()
    unsigned = (seal.position if seal else 0) - (last.count if last else 0)
    rests = last is not None and checkpoints.is_long_ago(last.at, now)
    waits = unsigned > 0 or any(checkpoints.is_long_ago(newest[number], now) for number in unsealed)
    return AuditStanding(last, len(unsealed), unsigned, rests and waits)


def cut_off(now: datetime) -> AuditEvent | None:
    """The event that says that the end of the trail was missing, if there was one lately."""
    lately = AuditEvent.objects.filter(kind=witness.CUT_OFF, at__gt=now - _CUT_OFF_SAID)
    return lately.order_by("-at", "-pk").first()
