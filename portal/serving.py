"""What this process serves: the listeners by port, each with its TLS contexts."""

import logging
from dataclasses import dataclass, replace
from datetime import datetime

from django.urls import get_resolver
from django.utils import timezone
from OpenSSL import SSL

from pki.keystore import KeystoreError
from portal.contexts import ListenerNotReady, Material, make_context, materials
from portal.listeners import Listener, TlsMode, served_listeners

log = logging.getLogger("hatchery.serving")


@dataclass(frozen=True)
class Tls:
    """A listener's contexts.

    Every connection is begun with `first`, which was made before the fork: its ticket keys are those of all
    workers, so that a session resumes on any of them, also when one has taken up a new certificate and
    another not yet. All else is that of `current`.
    """

    first: SSL.Context
    current: SSL.Context
    material: Material  # of `current`


_by_port: dict[int, tuple[Listener, Tls | None]] = {}


def prepare() -> None:
    """Load what is served and make the TLS contexts, once, before the fork.

    Raises ListenerNotReady or KeystoreError.
    """
    for listener in served_listeners():
        _by_port[listener.port] = (listener, None)
        _ = get_resolver(listener.urlconf).url_patterns  # being asked, it imports them
    found = materials(_with_tls(), timezone.now())
    for listener in _with_tls():
        material = _required(listener, found)
        context = make_context(listener, material)
        _by_port[listener.port] = (listener, Tls(context, context, material))


def at_port(port: int) -> tuple[Listener, Tls | None]:
    """The listener of a port; it has no TLS where it is plain."""
    return _by_port[port]


def take_up(now: datetime) -> int:
    """Make the contexts anew whose certificate, chain or clients' issuers have changed; how many.

    New connections get them, those that are open go on. A listener whose context cannot be made keeps the one
    that it has, and the others are not kept from theirs: raises ListenerNotReady or KeystoreError at the
    end, or DatabaseError. For one thread at a time.
    """
    taken = 0
    trouble: ListenerNotReady | KeystoreError | None = None
    found = materials(_with_tls(), now)
    for listener, tls in list(_by_port.values()):
        if tls is None:
            continue
        try:
            material = _required(listener, found)
            if material == tls.material:
                continue
            context = make_context(listener, material)
        except (ListenerNotReady, KeystoreError) as error:
            trouble = trouble or error
            continue
        _by_port[listener.port] = (listener, replace(tls, current=context, material=material))
        taken += 1
        log.info("%s", _what_changed(listener, tls.material, material))
    if trouble is not None:
        raise trouble
    return taken


def _with_tls() -> list[Listener]:
    return [listener for listener, _ in _by_port.values() if listener.mode is not TlsMode.PLAIN]


def _required(listener: Listener, found: dict[str, Material]) -> Material:
    if listener.name not in found:
        raise ListenerNotReady(
            f"The listener {listener.name} has no certificate that stands; run: python manage.py bootstrap"
        )
    return found[listener.name]


def _what_changed(listener: Listener, before: Material, after: Material) -> str:
    if before.certificate != after.certificate:
        return f"The listener {listener.name} shows the certificate {after.certificate.serial_number:x}."
    return f"The listener {listener.name} takes up a change of the issuers."
