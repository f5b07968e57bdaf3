"""Saying in the log that something does not work, once a minute: anybody can ask, as often as he likes."""

import logging
import threading
import time

from django.db import DatabaseError

SECONDS = 60.0  # between two lines that say the same
# Different lines in that time.
MOST = 50


class Complaints:
    """What was said lately. One object a process; threads may share it."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], tuple[float, int]] = {}  # when, and how often unsaid since
        self._lock = threading.Lock()

    def say(self, log: logging.Logger, what: str, why: str) -> None:
        """Log a line that says what does not work and why, unless that was said a moment ago."""
        key, now = (what, why), time.monotonic()
        with self._lock:
            at, unsaid = self._said.get(key, (float("-inf"), 0))
            if now < at + SECONDS:
                self._said[key] = (at, unsaid + 1)
                return
            self._said = {known: value for known, value in self._said.items() if now < value[0] + SECONDS}
            if len(self._said) >= MOST:
                return
            self._said[key] = (now, 0)
        log.error("%s: %s%s", what, why, f" ({unsaid} times more since this was said)" if unsaid else "")

    def forget(self) -> None:
        """Begin anew."""
        with self._lock:
            self._said = {}


def reason(error: Exception) -> str:
    """One sentence on what does not work, in its own words."""
    if not isinstance(error, DatabaseError):
        return str(error)
    # A driver's message goes over several lines and may end with a full stop.
    message = " ".join(str(error).split()).rstrip(".?")
    return f"The database cannot be used ({message}); see DATABASE_URL."


# This process's.
COMPLAINTS = Complaints()
