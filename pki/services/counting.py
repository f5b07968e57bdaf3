"""Counting rows of which there may be very many: up to a number beyond which nobody needs it exactly."""

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

MOST_COUNTED = 10_000


@dataclass(frozen=True)
class Bounded:
    """A number that was counted up to MOST_COUNTED."""

    number: int

    def __str__(self) -> str:
        return f"{MOST_COUNTED:,}+" if self.number > MOST_COUNTED else f"{self.number:,}"

    def __bool__(self) -> bool:
        return self.number > 0


def bounded(*rows: QuerySet[Any]) -> Bounded:
    """How many rows there are in all, counted up to MOST_COUNTED."""
    number = 0
    for each in rows:
        if number <= MOST_COUNTED:
            number += each.order_by()[: MOST_COUNTED + 1 - number].count()
    return Bounded(number)
