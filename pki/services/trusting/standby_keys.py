"""Keys that are made ahead: the next of each listener and of a root, so that their pins are known before
they are used (RFC 7469 4.3).

A key is on the node that made it, so each node has its own of each purpose. One is used once: taking it is
part of the transaction that stores its certificate, and who is killed in between has not taken it.

Each node says once a day which it has. One that no node had for a month is lost, with its node: its pin is
given out no more, unless it comes back. Whoever knows that one is lost, or stolen, withdraws it at once.
"""

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet

from pki.core import pins
from pki.core.errors import Refusal
from pki.keystore import keystore
from pki.models import StandbyKey
from pki.services import audit
from pki.services.audit import Actor
from pki.services.new_keys import new_key
from pki.services.transactions import alone, writing

ROOT = "root"
LOST_AFTER = timedelta(days=30)
_SEEN_EACH = timedelta(days=1)


class NoStandbyKey(Refusal):
    """No key that waits has this pin."""

    code = "no_standby_key"


def of_listener(name: str) -> str:
    """The purpose of a listener's next key."""
    return f"listener-{name}"


def waiting() -> QuerySet[StandbyKey]:
    """Those of all nodes that are for no certificate yet."""
    return StandbyKey.objects.filter(used_at=None, withdrawn_at=None).order_by("purpose", "pk")


def promised(now: datetime) -> QuerySet[StandbyKey]:
    """Those of them that some node still has: their pins are backups."""
    return waiting().filter(seen_at__gt=now - LOST_AFTER)


def say_which_are_here(now: datetime) -> int:
    """Note which this node has, once a day; of how many that was noted. Raises KeystoreError."""
    stale = waiting().filter(seen_at__lte=now - _SEEN_EACH)
    here = [key.pk for key in stale if keystore().has(key.key_reference)]
    if not here:
        return 0
    with writing():
        return StandbyKey.objects.filter(pk__in=here).update(seen_at=now)


def withdraw(spki_sha256: str, actor: Actor, now: datetime, note: str = "") -> StandbyKey:
    """Let a key be for nothing any more: its pin (SHA-256, hex) leaves the next trust bundle, and no
    certificate gets it. The node that had it makes another. Raises NoStandbyKey.
    """
    with writing():
        key = waiting().filter(spki_sha256=spki_sha256).select_for_update().first()
        if key is None:
            raise NoStandbyKey(
                f"No standby key has the pin sha256//{pins.as_base64(spki_sha256)}; those that the trust "
                "bundle calls backup are standby keys."
            )
        StandbyKey.objects.filter(pk=key.pk).update(withdrawn_at=now)
        audit.record(
            "standby_key.withdrawn",
            actor,
            now,
            level=logging.WARNING,
            purpose=key.purpose,
            pin=pins.as_base64(spki_sha256),
            note=note or None,
        )
    return key


def is_prepared(purpose: str, spec: str) -> bool:
    """Whether a key of kind `spec` waits on this node. Raises KeystoreError."""
    return bool(_here(purpose, spec))


def prepare(purpose: str, spec: str, now: datetime) -> None:
    """Make the next key for `purpose`, of kind `spec`, on this node, if none waits there.

    Left for the next time if another process makes one at this moment. Raises KeystoreError.
    """
    if is_prepared(purpose, spec):
        return
    with alone(f"standby-{purpose}") as free:
        if free and not is_prepared(purpose, spec):
            with new_key(purpose, spec) as reference:
                _store(reference, purpose, spec, now, used_at=None)


def take(purpose: str, spec: str, now: datetime) -> str:
    """The reference of the key that waited longest on this node; a new one if there is none.

    To be called in the transaction that stores the key's certificate. Where making a key takes long,
    `prepare` it before that. Raises KeystoreError.
    """
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("A standby key is taken in the transaction that stores its certificate.")
    for key in _here(purpose, spec):
        if StandbyKey.objects.filter(pk=key.pk, used_at=None).update(used_at=now):
            return key.key_reference
    reference = keystore().create(purpose, spec)
    _store(reference, purpose, spec, now, used_at=now)
    return reference


def _here(purpose: str, spec: str) -> list[StandbyKey]:
    keys = waiting().filter(purpose=purpose, spec=spec)
    return [key for key in keys if keystore().has(key.key_reference)]


def _store(reference: str, purpose: str, spec: str, now: datetime, *, used_at: datetime | None) -> None:
    spki_sha256 = pins.spki_sha256(keystore().public_key(reference))
    with writing():
        StandbyKey.objects.create(
            purpose=purpose,
            key_reference=reference,
            spec=spec,
            spki_sha256=spki_sha256,
            made_at=now,
            seen_at=now,
            used_at=used_at,
        )
