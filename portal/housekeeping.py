"""What a worker does beside answering: writes what was noted in memory, tallies the audit trail, makes
the CRLs that are due, and renews the OCSP responders.
"""

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import DatabaseError, close_old_connections
from django.utils import timezone

from pki.keystore import KeystoreError
from pki.services.fleet.sightings import SEEN
from pki.services.looking import tallies
from pki.services.proving.dropped_headers import DROPPED
from pki.services.proving.folding import FoldedLog
from pki.services.proving.handshakes import TURNED_AWAY
from pki.services.publishing import publication, revocation_lists
from pki.services.publishing.responders import RESPONDERS
from portal.start import database_trouble

log = logging.getLogger("hatchery.housekeeping")

SIGHTINGS_SECONDS = 5.0
TALLIES_SECONDS = 60.0
RESPONDERS_SECONDS = 60.0
SHARDS_SECONDS = 5.0  # between two looks whether a shard is full
COMPLAINT_SECONDS = 60.0  # between two log lines that say the same


class Housekeeping:
    """One object a worker. `tick` is called about once a second and never waits."""

    def __init__(self) -> None:
        self._sightings_at = self._tallies_at = self._responders_at = time.monotonic()
        self._publisher = Publisher()

    def tick(self, submit: Callable[[Callable[[], None]], object]) -> None:
        """Hand what is due to `submit`, which runs it in a thread."""
        now = time.monotonic()
        for folded in (TURNED_AWAY, DROPPED):
            if not folded.is_idle:
                submit(partial(_flush, folded))
        if now >= self._sightings_at and not SEEN.is_idle:
            self._sightings_at = now + SIGHTINGS_SECONDS
            submit(SEEN.flush)
        if now >= self._tallies_at:
            self._tallies_at = now + TALLIES_SECONDS
            submit(_roll_up)
        if now >= self._responders_at:
            self._responders_at = now + RESPONDERS_SECONDS
            submit(_renew_responders)
        submit(self._publisher.run)

    def finish(self) -> None:
        """Write everything that is left: the worker stops."""
        for folded in (TURNED_AWAY, DROPPED):
            folded.flush(timezone.now(), everything=True)
        SEEN.flush()


def _flush(folded: FoldedLog[Any]) -> None:
    folded.flush(timezone.now())


def _roll_up() -> None:
    try:
        close_old_connections()
        while tallies.roll_up(timezone.now()) == tallies.BATCH:
            pass
    except DatabaseError:
        # What is not tallied now is tallied next time.
        log.exception("The audit trail could not be tallied")


def _renew_responders() -> None:
    try:
        close_old_connections()
        RESPONDERS.renew_due(timezone.now())
    except (DatabaseError, KeystoreError):
        # A third of their life is left to try again.
        log.exception("The OCSP responders could not be renewed")


class Publisher:
    """Makes the CRLs that are due, and opens shards; at most one thread of a worker at a time."""

    def __init__(self) -> None:
        self._busy = threading.Lock()
        self._shards_at = time.monotonic()
        self._complaint = ""
        self._complaint_at = 0.0

    def run(self) -> None:
        """Do what is due. A large list takes longer than the second between two calls."""
        if not self._busy.acquire(blocking=False):
            return
        try:
            close_old_connections()
            self._publish()
        except (DatabaseError, KeystoreError) as error:
            # What is not made now is made next time.
            self._complain(error)
        else:
            self._complaint = ""
        finally:
            self._busy.release()

    def _publish(self) -> None:
        now = time.monotonic()
        if now >= self._shards_at:
            self._shards_at = now + SHARDS_SECONDS
            revocation_lists.roll(timezone.now())
        publication.publish_due(timezone.now())

    def _complain(self, error: DatabaseError | KeystoreError) -> None:
        words = database_trouble(error) if isinstance(error, DatabaseError) else str(error)
        now = time.monotonic()
        if words == self._complaint and now < self._complaint_at:
            return
        self._complaint, self._complaint_at = words, now + COMPLAINT_SECONDS
        log.error("CRLs cannot be made, and do not say what was revoked since: %s", words)
