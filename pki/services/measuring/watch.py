"""Looking at how everything stands for whoever asks, as often as he likes: at most once in a while."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime

from pki.services.complaints import COMPLAINTS
from pki.services.measuring.standing import Standing, look

log = logging.getLogger("hatchery.watch")

FRESH_SECONDS = 5.0  # what was seen is told again for so long
FIRST_SECONDS = 2.0  # for who asks while the first look is on its way: it opens the keys

_NO_ANSWER = Standing.without_database("The database has not answered yet.")


class Watch:
    """What was seen last. One object a process; threads may share it."""

    def __init__(self, looks: Callable[[datetime], Standing] = look) -> None:
        self._looks = looks
        self._seen: Standing | None = None
        self._until = float("-inf")
        self._looking = threading.Lock()

    def standing(self, now: datetime) -> Standing:
        """How everything stands, as it was seen within FRESH_SECONDS.

        One thread looks at a time, and no other waits for it: while a database does not answer it holds one
        of those that answer requests, whoever asks.
        """
        seen = self._fresh()
        if seen is not None:
            return seen
        if not self._looking.acquire(timeout=0 if self._seen else FIRST_SECONDS):
            return self._late()
        try:
            return self._fresh() or self._look(now)
        finally:
            self._looking.release()

    def forget(self) -> None:
        """Begin anew."""
        self._seen, self._until = None, float("-inf")

    def _fresh(self) -> Standing | None:
        return self._seen if time.monotonic() < self._until else None

    def _late(self) -> Standing:
        # A look takes milliseconds, and who asks meanwhile is told of the last one.
        if self._seen is not None and time.monotonic() < self._until + FRESH_SECONDS:
            return self._seen
        return _NO_ANSWER

    def _look(self, now: datetime) -> Standing:
        seen = self._looks(now)
        for check, why in seen.troubles.items():
            COMPLAINTS.say(log, f"Not ready: {check}", why)
        self._seen, self._until = seen, time.monotonic() + FRESH_SECONDS
        return seen


# This process's.
WATCH = Watch()
