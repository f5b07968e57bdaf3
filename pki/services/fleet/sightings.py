"""When devices were last seen: noted in memory at each proof, written together every few seconds.

The request itself pays no query for it.
"""

import logging
import threading
from dataclasses import dataclass
from datetime import datetime

from django.db import DatabaseError

from pki.models import LastSeen
from pki.services.fleet import rotation
from pki.services.renewing import first_use
from pki.services.rotating import members
from pki.services.transactions import writing

log = logging.getLogger("hatchery.sightings")

# Certificates whose sightings are kept between two writes; of more, those that come later are dropped.
MOST_KEPT = 50_000
_BATCH = 500


@dataclass(frozen=True)
class Sighting:
    """A device that proved itself over mutual TLS."""

    device_id: int
    certificate_id: int
    at: datetime
    address: str | None
    tls_version: str


class SightingLog:
    """The sightings that are not yet written. One object a process; threads may share it."""

    def __init__(self) -> None:
        self._latest: dict[int, Sighting] = {}
        self._lock = threading.Lock()

    def note(self, sighting: Sighting) -> None:
        """Keep a sighting for the next flush, in place of an earlier one of the same certificate.

        A device that renews shows the old and the new one in turn, and each must be known to be in use.
        """
        with self._lock:
            if sighting.certificate_id in self._latest or len(self._latest) < MOST_KEPT:
                self._latest[sighting.certificate_id] = sighting

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing that a flush could write."""
        return not self._latest

    def flush(self) -> None:
        """Write what was noted."""
        with self._lock:
            latest, self._latest = self._latest, {}
        sightings = sorted(latest.values(), key=lambda each: (each.device_id, each.at))
        for start in range(0, len(sightings), _BATCH):
            try:
                _write(sightings[start : start + _BATCH])
            except DatabaseError:
                # The devices' proofs stand without their records; the loss must be seen.
                log.exception("Up to %d sightings of devices could not be written", _BATCH)


def _write(sightings: list[Sighting]) -> None:
    # In the order of their keys, so that two workers that write the same devices do not deadlock.
    latest = {each.device_id: each for each in sightings}
    with writing():
        _write_latest(latest)
    first_use.note({each.certificate_id: each.at for each in sightings})
    members.seen(sightings)
    rotation.complete(sightings)


def _write_latest(latest: dict[int, Sighting]) -> None:
    # Another worker may have written a later one.
    known = LastSeen.objects.filter(device__in=latest).order_by("device").select_for_update(no_key=True)
    for device, at in known.values_list("device", "at"):
        if at > latest[device].at:
            del latest[device]
    rows = [
        LastSeen(
            device_id=each.device_id,
            certificate_id=each.certificate_id,
            at=each.at,
            address=each.address,
            tls_version=each.tls_version,
        )
        for each in latest.values()
    ]
    LastSeen.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["device"],
        update_fields=["at", "address", "tls_version", "certificate"],
    )


# This process's sightings; the worker flushes them.
SEEN = SightingLog()
