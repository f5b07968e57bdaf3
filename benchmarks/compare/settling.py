"""Waiting for servers to be at rest: what they do by themselves after a start is no request's cost."""

import time
from collections.abc import Sequence

from benchmarks.compare import accounts
from benchmarks.compare.served import Served

_LOOKED_AT = 10.0  # seconds
_AT_REST = 0.05  # CPU seconds a second
_PATIENCE = 1800.0  # seconds: sealing and reading a trail of 1.2 million events took 340


def settle(
    running: Sequence[Served], patience: float = _PATIENCE, looked_at: float = _LOOKED_AT
) -> list[str]:
    """Wait until each server uses hardly any CPU while nobody asks; a complaint for each that does not.

    `patience` and the time that they are `looked_at` are seconds.
    """
    deadline = time.monotonic() + patience
    while True:
        rates = _rates(running, looked_at)
        restless = [
            f"{served.name}, {served.stored:,} stored, was not at rest: {rate:.2f} s of CPU a second"
            for served, rate in zip(running, rates, strict=True)
            if rate > _AT_REST
        ]
        if not restless or time.monotonic() > deadline:
            return restless
        print("\n".join(restless), flush=True)


def _rates(running: Sequence[Served], looked_at: float) -> list[float]:
    before, began = [_used(served) for served in running], time.monotonic()
    time.sleep(looked_at)
    seconds = time.monotonic() - began
    return [(_used(served) - then) / seconds for served, then in zip(running, before, strict=True)]


def _used(served: Served) -> float:
    return accounts.cpu_seconds([*served.processes(), *served.database_processes()])
