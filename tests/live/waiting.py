"""Waiting for what comes in a moment."""

import time
from collections.abc import Callable


def eventually(look: Callable[[], str], within: float) -> str:
    """What `look` finds, once it finds something; it must within so many seconds."""
    deadline = time.monotonic() + within
    while not (found := look()):
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.2)
    return found
