"""What processes have used, by the kernel's accounts."""

from collections.abc import Iterable

import psutil


def with_children(pid: int) -> list[psutil.Process]:
    """A process and all that come from it, as of now."""
    master = psutil.Process(pid)
    return [master, *master.children(recursive=True)]


def cpu_seconds(processes: Iterable[psutil.Process]) -> float:
    """User and system time of these, and of those of their children that have ended."""
    return sum(sum(each.cpu_times()[:4]) for each in processes)


def memory(processes: Iterable[psutil.Process]) -> float:
    """MB that are theirs: a page that several share is counted once (PSS)."""
    return sum(each.memory_full_info().pss for each in processes) / 1e6
