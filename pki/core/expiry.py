"""When somebody is to be told that a certificate ends: once it is late, and never while it is not."""

from collections.abc import Sequence
from datetime import timedelta

from pki.core import renewals

LONGEST_DAYS = 365


def left_when_late(life: timedelta) -> timedelta:
    """What is left of a certificate's life when all that are renewed as told have been."""
    _, latest = renewals.parts(life)
    return life * (1 - latest)


def lead_times(days: Sequence[int], life: timedelta) -> list[tuple[int, timedelta]]:
    """Thresholds in days, shortest first, each with how long before its end a certificate is told of.

    One that is longer than what is left when a certificate is late would cry at every one, though its device
    is about to renew it: all such become one, which is told as soon as it is late, and has the days of the
    shortest. What is no number from 1 to LONGEST_DAYS is passed over.
    """
    late = left_when_late(life)
    leads: list[tuple[int, timedelta]] = []
    for threshold in sorted({each for each in days if type(each) is int and 1 <= each <= LONGEST_DAYS}):
        lead = timedelta(days=threshold)
        if lead >= late:
            return [*leads, (threshold, late)]
        leads.append((threshold, lead))
    return leads
