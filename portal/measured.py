"""What this server counts: begun before the fork, with every value that a label can have."""

from typing import Any

from django.conf import settings
from django.db.backends.signals import connection_created

from pki.endpoints import measuring
from pki.services import maintenance
from pki.services.auditing import kinds
from pki.services.measuring import counted, families
from pki.services.measuring.families import OTHER
from portal import tls
from portal.listeners import METRICS, served_listeners

# Slots: a reload (SIGHUP) starts new workers beside the old ones, which end what they do; more count nothing.
_ROUNDS = 3
_SPARE = 4


def begin() -> None:
    """Count from now on, if there is a listener that tells of it."""
    listeners = served_listeners()
    if METRICS not in (listener.name for listener in listeners):
        return
    endpoints = list(measuring.labels(listeners))
    counted.SECONDS.know(endpoints)
    statuses = ("2xx", "3xx", "4xx", "5xx")
    counted.REQUESTS.know((*each, status) for each in endpoints for status in statuses)
    counted.REFUSALS.know((code,) for code in sorted(measuring.codes()))
    counted.EVENTS.know((kind,) for group in kinds.GROUPS.values() for kind in group)
    counted.MAINTENANCE_FAILURES.know((task.name,) for task in maintenance.tasks())
    names = [each.name for each in listeners]
    counted.HANDSHAKES.know((name,) for name in names)
    counted.CUT_OFF.know((name, late) for name in names for late in (counted.REQUEST, counted.ANSWER))
    counted.FAILED_HANDSHAKES.know(
        (name, reason) for name in names for reason in (*sorted(tls.reasons()), OTHER)
    )
    families.share(_ROUNDS * settings.PORTAL_WORKERS + _SPARE)
    # With a pool it comes each time that a thread takes one: portal.pool counts what was opened.
    if not settings.PORTAL_DATABASE_POOL:
        connection_created.connect(_opened)


def _opened(**_: Any) -> None:
    counted.DATABASE_OPENED.count()
