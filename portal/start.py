"""Everything that can stop a start, found before anything listens, each in one sentence."""

import errno
import logging
import os
import resource
import socket
import sys
from collections.abc import Sequence

from django.core import checks
from django.db import DatabaseError
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from pki.core.errors import Refusal
from pki.keystore import KeystoreError, keystore
from pki.services import complaints
from pki.services.issuing.profiles import warn_of_open_enrollment
from pki.services.proving.proxies import warn_of_unknown_devices
from pki.services.publishing import publication, revocation_lists
from portal.checks import SETTINGS
from portal.listeners import Listener, served_listeners
from portal.occupants import who_listens

log = logging.getLogger("hatchery.start")

# Database connections, log, listening sockets, pipes.
DESCRIPTORS_BESIDES = 200


class CannotStart(Exception):
    """Hatchery cannot start; the message is one sentence that says why and what to do."""


def check() -> None:
    """Judge the settings. Raises CannotStart with the first error."""
    # Not Django's own, which judge the code, as `make lint` does; they load the console for it.
    found = checks.run_checks(tags=[SETTINGS])
    errors = [message for message in found if message.level >= checks.ERROR]
    if errors:
        first = errors[0]
        raise CannotStart(f"{first.msg} {first.hint or ''} ({first.id})")


def check_ports() -> None:
    """Raises CannotStart if a listener's address cannot be bound."""
    for listener in served_listeners():
        setting = f"PORTAL_PORT_{listener.name.upper()}"
        host = listener.host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, listener.port))
            except OSError as error:
                raise CannotStart(_why_not_bound(error, listener, setting)) from error


def _why_not_bound(error: OSError, listener: Listener, setting: str) -> str:
    port, name = listener.port, listener.name
    bound_by = "PORTAL_METRICS_HOST" if listener.own_host else "PORTAL_BIND_HOST"
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} ({name}) is taken by {who_listens(port)}; stop it or set {setting} to a free port."
        )
    if error.errno == errno.EACCES:
        return f"Port {port} ({name}) needs privileges; set {setting} to a port from 1024 on."
    if error.errno == errno.EADDRNOTAVAIL:
        return (
            f"{bound_by} is {listener.host}, which is no address of this machine; "
            "use one of its own, 127.0.0.1, or 0.0.0.0 for all."
        )
    return f"Port {port} ({name}) cannot be bound: {error.strerror}; see {bound_by} and {setting}."


def check_database() -> None:
    """Raises CannotStart if the database cannot be reached, or lacks migrations."""
    from django.db import connection

    try:
        executor = MigrationExecutor(connection)
        missing: Sequence[object] = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        raise CannotStart(complaints.reason(error)) from error
    if missing:
        raise CannotStart("The database lacks tables; run: python manage.py migrate")


def connections_within_limits(wanted: int) -> int:
    """How many connections a worker may hold at once, with descriptors left for files and databases.

    Raises the soft limit of open files as far as the hard one lets it; one connection too many would
    otherwise end a worker, and all others with it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = wanted + DESCRIPTORS_BESIDES
    if soft != resource.RLIM_INFINITY and soft < enough:
        soft = enough if hard == resource.RLIM_INFINITY else min(enough, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else max(16, min(wanted, soft - DESCRIPTORS_BESIDES))


def prepare_lists() -> None:
    """Give issuers from before their CRLs, and make those that never were: they are there from the start.

    What is due after a long stop, which may be a thousand shards, the workers make while they serve.
    """
    now = timezone.now()
    revocation_lists.ensure(now)
    try:
        publication.publish_first(now)
    except KeystoreError as error:
        log.error("CRLs cannot be made, and do not say what was revoked since: %s", error)


def check_or_exit() -> None:
    try:
        check()
    except CannotStart as error:
        sys.exit(f"Hatchery cannot start. {error}")


def prepare_or_exit() -> None:
    """For gunicorn: everything but the settings, which were judged when it read its configuration."""
    from portal import measured, serving
    from portal.contexts import ListenerNotReady

    try:
        # A new master that SIGUSR2 started is handed the sockets of the old one.
        if "GUNICORN_FD" not in os.environ:
            check_ports()
        # Before the fork: the workers have the same lock. A listener may be long in opening its first key.
        keystore().hold()
        check_database()
        serving.prepare()
        prepare_lists()
        measured.begin()
        warn_of_open_enrollment()
        warn_of_unknown_devices()
    except (CannotStart, ListenerNotReady, KeystoreError, Refusal, OSError) as error:
        sys.exit(f"Hatchery cannot start. {error}")
