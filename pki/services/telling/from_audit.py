"""Notices of what happened, from the audit trail."""

from datetime import datetime


def read(now: datetime) -> int:
    """Tell of the events that have settled since it was last called; how many notices."""
    raise NotImplementedError
