"""What is counted: families of numbers, each with its label values known before the server starts.

No series comes into being later: what is none of the known values counts as `other`, so that no client can
make Prometheus keep more.
"""

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterable, Iterator

from pki.services.measuring.shared import SHARED

OTHER = "other"
# Seconds; upper bounds of the classes of a Timing.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

Labels = tuple[str, ...]
_all: "list[Family]" = []


class Family(ABC):
    """Numbers of one name, told apart by the values of its labels."""

    numbers = 1  # of each series

    def __init__(self, name: str, says: str, labels: Labels = ()) -> None:
        """`name` is as Prometheus wants it, without the `_total` of a counter."""
        self.name = name
        self.says = says
        self.labels = labels
        self._known: list[Labels] = [(OTHER,) * len(labels)] if labels else [()]
        self._places: dict[Labels, int] = {}
        self._other: int | None = None  # before there is a layout, nothing is counted
        _all.append(self)

    def know(self, values: Iterable[Labels]) -> None:
        """Tell values of the labels; before `share`."""
        *known, other = self._known
        self._known = [*dict.fromkeys([*known, *(each for each in values if each != other)]), other]

    def lay_out(self, start: int) -> int:
        """Take places from `start` on; where the next family begins."""
        self._places = {each: start + self.numbers * n for n, each in enumerate(self._known)}
        self._other = self._places[self._known[-1]]
        return start + self.numbers * len(self._known)

    @property
    def series(self) -> Iterator[tuple[Labels, int]]:
        """The values of the labels, and where their numbers begin."""
        return iter(self._places.items())

    def _place(self, labels: Labels) -> int | None:
        return self._places.get(labels, self._other)

    @property
    @abstractmethod
    def kind(self) -> str:
        """What Prometheus calls it."""


class Counter(Family):
    """How often something happened."""

    kind = "counter"

    def count(self, *labels: str, by: float = 1) -> None:
        if (place := self._place(labels)) is not None:
            SHARED.add(place, by)


class Gauge(Family):
    """How many there are at this moment, in this process; shown as the sum of all."""

    kind = "gauge"

    def put(self, value: float, *labels: str) -> None:
        if (place := self._place(labels)) is not None:
            SHARED.put(place, value)


class Timing(Family):
    """How long something took: a histogram, in seconds."""

    kind = "histogram"
    numbers = len(BUCKETS) + 2  # one for what took longer, one for the sum

    def note(self, seconds: float, *labels: str) -> None:
        if (place := self._place(labels)) is not None:
            bucket, total = place + bisect_left(BUCKETS, seconds), place + self.numbers - 1
            SHARED.add_each(((bucket, 1.0), (total, seconds)))


def families() -> list[Family]:
    """All that were made."""
    return list(_all)


def share(slots: int) -> None:
    """Begin to count, from zero, for as many workers as there are slots; once, before the fork."""
    width = 0
    for family in _all:
        width = family.lay_out(width)
    SHARED.share(width, slots)


def leave(slot: int) -> None:
    """Forget the gauges of a worker that is gone; what it counted stays."""
    SHARED.clear(slot, (place for each in _all if each.kind == "gauge" for _, place in each.series))
