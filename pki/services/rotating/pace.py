"""How fast a campaign asks: each member has a place in the window, and a campaign a position that moves on.

Members whose place is below the position are asked. The places are a hash's, so that they are spread evenly;
the canaries are those with the lowest, up to a place that is known once all are gathered.
"""

import hashlib
from datetime import datetime, timedelta

from django.db.models import BigIntegerField, F
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast

from pki.models import Campaign

END = 1_000_000  # places are 0 to END - 1
# What was missed while no step ran is caught up at twice the pace, and not all at once; a step counts for so
# long at most.
CATCH_UP = 2
LONGEST_STEP = timedelta(minutes=5)
# Who goes on near the end of the window has this much of it, for those who are asked again.
_LEAST_LEFT = END // 10


def place(campaign: Campaign, device: str) -> int:
    """Where a device, by its name, is in the window of a campaign: the same always, another in each."""
    digest = hashlib.sha256(f"{campaign.name}/{device}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % END


def canaries(number: int, percent: int) -> int:
    """How many of `number` devices, which are not none, are canaries: the rounded share, and at least one."""
    return max(1, (number * percent + 50) // 100) if percent else 0


def next_position(campaign: Campaign, now: datetime) -> int:
    """How far an open campaign is to ask now."""
    if not campaign.window_seconds or campaign.window_from is None or campaign.stepped_at is None:
        return END
    start = campaign.canaries_below
    per_second = (END - start) / campaign.window_seconds
    due = start + per_second * (now - campaign.window_from).total_seconds()
    step = min(now - campaign.stepped_at, LONGEST_STEP).total_seconds()
    most = campaign.position + CATCH_UP * per_second * step
    return max(campaign.position, min(int(due), int(most), END))


def stand_still(campaign: Campaign) -> None:
    """Have part of the window left for who is asked again after a pause."""
    if campaign.window_seconds:
        campaign.position = min(campaign.position, END - _LEAST_LEFT)


def move_on(campaign: Campaign, now: datetime) -> None:
    """Count the window from where the campaign stood still: what was left of it then is left now."""
    start = campaign.canaries_below
    # The only device may have the last place.
    passed = max(campaign.position - start, 0) / max(END - start, 1)
    campaign.window_from = now - timedelta(seconds=campaign.window_seconds * passed)
    campaign.stepped_at = now


def later_place(position: int) -> Combinable:
    """Where members that were asked before come again, spread over the rest of the window.

    They are those below `position`, which is neither 0 nor END.
    """
    # An int of PostgreSQL's has 32 bits.
    return Cast(F("place"), BigIntegerField()) * (END - position) / position + position
