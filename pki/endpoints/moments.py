"""Moments as programs read them."""

from datetime import datetime


def utc(moment: datetime) -> str:
    """RFC 3339, to the second: `2026-05-01T12:00:00Z`."""
    return moment.replace(microsecond=0).isoformat().replace("+00:00", "Z")
