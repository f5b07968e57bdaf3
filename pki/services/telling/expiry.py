"""Telling of certificates and issuers that end soon and were not replaced."""

from collections.abc import Sequence
from datetime import datetime, timedelta

ISSUER_DAYS = (90, 30, 7, 1)


def watch(now: datetime) -> int:
    """Tell of what came nearer to its end than a threshold since it was last looked at; how many notices."""
    raise NotImplementedError


def lead_times(warn_days: Sequence[int], lifetime: timedelta) -> list[tuple[int, timedelta]]:
    """A profile's thresholds in days, shortest first, each with how long before its end one is told of."""
    raise NotImplementedError
