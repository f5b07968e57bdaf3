"""Periodic work: what Hatchery does without being asked, task by task."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone


@dataclass(frozen=True)
class Task:
    """Something that is to be done now and then, and is cheap if there is nothing to do."""

    name: str
    what: Callable[[datetime], str]  # given the time; says what it did
    everywhere: bool = False  # on each node, or on one for all


@dataclass(frozen=True)
class Outcome:
    """What a task did, or why it failed."""

    task: str
    said: str
    failed: bool = False


def run(clock: Callable[[], datetime] = timezone.now, rested: timedelta = timedelta(0)) -> Iterator[Outcome]:
    """Do each task; one that fails does not stop the others. Those of one node for all are left to whoever
    is at them, or has been less than `rested` ago.
    """
    raise NotImplementedError
