"""Memory in which the workers of one server count: mapped before they are forked, a slot for each.

No file: nothing is left behind by a server that is killed, a disk may be full or read-only, and what a worker
counted outlives it, so that a sum never goes back. A slot has one process that writes; all may read.
"""

import mmap
import threading
from collections.abc import Iterable

_BYTES = 8  # of a number: a double, written and read at once where it is aligned


class Shared:
    """Numbers in slots. Before `share` nothing is kept: a command in the shell has nobody who would ask."""

    def __init__(self) -> None:
        self._numbers = memoryview(bytearray()).cast("d")
        self._width = 0  # numbers in a slot
        self._slots = 0
        self._start: int | None = None  # of this process's slot
        self._lock = threading.Lock()

    def share(self, width: int, slots: int) -> None:
        """Map `slots` times `width` numbers, all zero. Once, before the fork."""
        self._numbers = memoryview(mmap.mmap(-1, max(width * slots, 1) * _BYTES)).cast("d")
        self._width, self._slots, self._start = width, slots, None

    def take(self, slot: int) -> None:
        """Count in this slot from now on, onto what is there; a slot that there is not counts nothing."""
        self._start = slot * self._width if slot < self._slots else None

    def add(self, place: int, amount: float) -> None:
        """Add to a number of this process's slot."""
        if self._start is not None:
            with self._lock:
                self._numbers[self._start + place] += amount

    def add_each(self, amounts: Iterable[tuple[int, float]]) -> None:
        """The same with several at once."""
        if (start := self._start) is not None:
            with self._lock:
                for place, amount in amounts:
                    self._numbers[start + place] += amount

    def put(self, place: int, value: float) -> None:
        """Set a number of this process's slot."""
        if self._start is not None:
            self._numbers[self._start + place] = value

    def clear(self, slot: int, places: Iterable[int]) -> None:
        """Set numbers of a slot to zero: its process is gone."""
        if slot < self._slots:
            for place in places:
                self._numbers[slot * self._width + place] = 0.0

    def totals(self) -> list[float]:
        """Each number, of all slots together."""
        each = self._numbers.tolist()
        slots = (each[start : start + self._width] for start in range(0, len(each), self._width or 1))
        return [sum(place) for place in zip(*slots, strict=True)]


# This server's.
SHARED = Shared()


def first_free(taken: Iterable[int]) -> int:
    """The lowest number of a slot that no living worker has."""
    used = set(taken)
    return next(number for number in range(len(used) + 1) if number not in used)
