"""What a worker does beside answering: writes what was noted in memory, and tallies the audit trail."""

import logging
import time
from collections.abc import Callable

from django.db import DatabaseError, close_old_connections
from django.utils import timezone

from pki.services import tallies
from pki.services.handshakes import HandshakeLog
from pki.services.sightings import SEEN

log = logging.getLogger("hatchery.housekeeping")

SIGHTINGS_SECONDS = 5.0
TALLIES_SECONDS = 60.0


class Housekeeping:
    """One object a worker. `tick` is called about once a second and never waits."""

    def __init__(self, handshakes: HandshakeLog) -> None:
        self._handshakes = handshakes
        self._sightings_at = self._tallies_at = time.monotonic()

    def tick(self, submit: Callable[[Callable[[], None]], object]) -> None:
        """Hand what is due to `submit`, which runs it in a thread."""
        now = time.monotonic()
        if not self._handshakes.is_idle:
            submit(self._flush_handshakes)
        if now >= self._sightings_at and not SEEN.is_idle:
            self._sightings_at = now + SIGHTINGS_SECONDS
            submit(SEEN.flush)
        if now >= self._tallies_at:
            self._tallies_at = now + TALLIES_SECONDS
            submit(_roll_up)

    def finish(self) -> None:
        """Write everything that is left: the worker stops."""
        self._handshakes.flush(timezone.now(), everything=True)
        SEEN.flush()

    def _flush_handshakes(self) -> None:
        self._handshakes.flush(timezone.now())


def _roll_up() -> None:
    try:
        close_old_connections()
        while tallies.roll_up(timezone.now()) == tallies.BATCH:
            pass
    except DatabaseError:
        # What is not tallied now is tallied next time.
        log.exception("The audit trail could not be tallied")
