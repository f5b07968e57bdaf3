"""When devices were last seen: noted in memory at each proof, written together every few seconds.

The request itself pays no query for it.
"""

import logging
import threading
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import Error

from pki.models import LastSeen
from pki.services.complaints import COMPLAINTS, reason
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
    bundle_version: int | None = None  # of the trust bundle, if it fetched that

    def after(self, earlier: "Sighting | None") -> "Sighting":
        """This one, and what an earlier one of the same device says of the bundle that it has."""
        if earlier is None or earlier.bundle_version is None:
            return self
        return replace(self, bundle_version=max(self.bundle_version or 0, earlier.bundle_version))


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
            earlier = self._latest.get(sighting.certificate_id)
            if earlier is not None or len(self._latest) < MOST_KEPT:
                self._latest[sighting.certificate_id] = sighting.after(earlier)

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
            except (Error, OSError) as error:
                # The devices' proofs stand without their records; the loss must be seen.
                COMPLAINTS.say(log, f"Up to {_BATCH} sightings of devices were not written", reason(error))


def _write(sightings: list[Sighting]) -> None:
    # In the order of their keys, so that two workers that write the same devices do not deadlock.
    latest: dict[int, Sighting] = {}
    for each in sightings:
        latest[each.device_id] = each.after(latest.get(each.device_id))
    with writing():
        _write_latest(latest)
    first_use.note({each.certificate_id: each.at for each in sightings})
    members.seen(sightings)
    rotation.complete(sightings)


def _write_latest(latest: dict[int, Sighting]) -> None:
    stored = LastSeen.objects.filter(device__in=latest).order_by("device").select_for_update(no_key=True)
    known = {row.device_id: row for row in stored}
    rows = [_row(each, known.get(each.device_id)) for each in latest.values()]
    LastSeen.objects.bulk_create(
        [row for row in rows if row is not None],
        update_conflicts=True,
        unique_fields=["device"],
        update_fields=["at", "address", "tls_version", "certificate", "bundle_version"],
    )


def _row(seen: Sighting, known: LastSeen | None) -> LastSeen | None:
    """What is to be stored of a device; None if what is known of it is more."""
    had = known.bundle_version if known is not None else None
    version = had if seen.bundle_version is None else max(seen.bundle_version, had or 0)
    if known is not None and known.at > seen.at:  # another worker has written a later one
        known.bundle_version = version
        return known if version != had else None
    return LastSeen(
        device_id=seen.device_id,
        certificate_id=seen.certificate_id,
        at=seen.at,
        address=seen.address,
        tls_version=seen.tls_version,
        bundle_version=version,
    )


# This process's sightings; the worker flushes them.
SEEN = SightingLog()
