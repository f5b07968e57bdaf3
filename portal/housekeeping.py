"""What a worker does beside answering: writes what was noted in memory, makes the CRLs that are due, takes up
the listeners' new certificates and new issuers: what has to be within seconds, or is this process's own. All
else is maintenance, which it has done once a minute.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import DatabaseError
from django.utils import timezone

from pki.core.errors import Refusal
from pki.keystore import KeystoreError
from pki.services import maintenance
from pki.services.complaints import COMPLAINTS, reason
from pki.services.enrolling.limited import LIMITED
from pki.services.enrolling.repeated import REPEATED
from pki.services.fleet.sightings import SEEN
from pki.services.proving.dropped_headers import DROPPED
from pki.services.proving.folding import FoldedLog
from pki.services.proving.handshakes import TURNED_AWAY
from pki.services.proving.refused_proxies import REFUSED_PROXIES
from pki.services.publishing import publication
from pki.services.renewing.refusals import REFUSED_RENEWALS
from portal import pool, serving
from portal.contexts import ListenerNotReady

log = logging.getLogger("hatchery.housekeeping")

SIGHTINGS_SECONDS = 5.0
MAINTENANCE_SECONDS = 60.0
CONTEXTS_SECONDS = 2.0  # between two looks whether listeners have new certificates, or clients new issuers
TICK_SECONDS = 1.0  # between two looks at what is due

NO_LISTS = "CRLs cannot be made, and do not say what was revoked since"

_FOLDED: tuple[FoldedLog[Any], ...] = (
    TURNED_AWAY,
    DROPPED,
    REFUSED_PROXIES,
    REFUSED_RENEWALS,
    LIMITED,
    REPEATED,
)


class Housekeeping:
    """One object a worker. `tick` is called at each turn of its loop and never waits."""

    def __init__(self) -> None:
        self._next = self._sightings_at = self._maintenance_at = self._contexts_at = time.monotonic()
        self._contexts = Errand(serving.take_up, "Listeners go on with the certificates and issuers they had")
        self._shards = Errand(publication.publish_shards, NO_LISTS)
        self._full_lists = OwnThread(Errand(publication.publish_full_lists, NO_LISTS).run)
        self._maintenance = OwnThread(_maintain)

    def tick(self, submit: Callable[[Callable[[], None]], object]) -> bool:
        """Hand what is due to `submit`, which runs it in a thread, once a second; whether it is time."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + TICK_SECONDS
        for folded in _FOLDED:
            if not folded.is_idle:
                submit(partial(_flush, folded))
        if now >= self._sightings_at and not SEEN.is_idle:
            self._sightings_at = now + SIGHTINGS_SECONDS
            submit(SEEN.flush)
        if now >= self._contexts_at:
            self._contexts_at = now + CONTEXTS_SECONDS
            submit(self._contexts.run)
        submit(self._shards.run)
        self._full_lists.ask()
        if now >= self._maintenance_at:
            self._maintenance_at = now + MAINTENANCE_SECONDS
            self._maintenance.ask()
        return True

    def finish(self) -> None:
        """Write everything that is left: the worker stops."""
        now = timezone.now()
        flushes: list[Callable[[], None]] = [partial(each.flush, now, everything=True) for each in _FOLDED]
        for flush in (*flushes, SEEN.flush):
            try:
                flush()
            except Exception:
                # The others are not lost for it.
                log.exception("Something that was noted is lost")


def _flush(folded: FoldedLog[Any]) -> None:
    folded.flush(timezone.now())


def _maintain() -> None:
    # One worker of all nodes is enough for the most; what fails says so itself.
    for _ in maintenance.run(rested=timedelta(seconds=MAINTENANCE_SECONDS * 3 / 4)):
        pass


class Errand:
    """Something that is done now and then, by at most one thread of a worker at a time."""

    def __init__(self, what: Callable[[datetime], object], complaint: str) -> None:
        """`complaint` is what does not work when it fails: the reason is added."""
        self._what = what
        self._complaint = complaint
        self._busy = threading.Lock()

    def run(self) -> None:
        """Do it, unless another thread still does. What is not done now is done next time."""
        if not self._busy.acquire(blocking=False):
            return
        try:
            self._what(timezone.now())
        except (DatabaseError, KeystoreError, Refusal, ListenerNotReady, OSError) as error:
            COMPLAINTS.say(log, self._complaint, reason(error))
        except Exception:
            # The pool keeps it for somebody who asks, and nobody does.
            log.exception("%s", self._complaint)
        finally:
            self._busy.release()


class OwnThread:
    """Does a thing when it is asked to, in a thread of its own: those that answer requests are few."""

    def __init__(self, what: Callable[[], None]) -> None:
        self._what = what
        self._asked = threading.Event()
        self._thread: threading.Thread | None = None

    def ask(self) -> None:
        """Have it done, once more if it is being done. Never waits."""
        self._asked.set()
        # Not before: a worker is made before it is forked.
        if self._thread is None or not self._thread.is_alive():
            # What is not stored when the process ends was never seen by anybody.
            self._thread = threading.Thread(target=self._go_on, name="housekeeping", daemon=True)
            self._thread.start()

    def _go_on(self) -> None:
        while self._asked.wait():
            self._asked.clear()
            pool.giving_back(self._what)
