"""The keys that clients may pin: those in use, and those that are made ahead."""

from collections.abc import Sequence
from datetime import datetime

from pki.core import pins
from pki.core.trust_bundles import Pin
from pki.models import Issuer
from pki.services.trusting import standby_keys
from pki.services.trusting.anchors import listener_keys

ISSUER = "issuer"


def pinned(roots: Sequence[Issuer], now: datetime) -> list[Pin]:
    """The pins of these roots, of the issuers below them, and of the listeners of all nodes, each kind with
    its backups.
    """
    below = Issuer.objects.filter(parent__in=roots, not_after__gt=now).exclude(state=Issuer.State.COMPROMISED)
    backups: dict[str, list[Pin]] = {}
    for key in standby_keys.promised(now):
        backups.setdefault(key.purpose, []).append(Pin(key.purpose, True, key.spki_sha256))
    found = [Pin(standby_keys.ROOT, False, _spki(root), root.name) for root in roots]
    found += backups.pop(standby_keys.ROOT, [])
    found += [Pin(ISSUER, False, _spki(issuer), issuer.name) for issuer in below.order_by("pk")]
    found += [
        Pin(standby_keys.of_listener(listener), False, digest) for listener, digest in listener_keys(now)
    ]
    return found + [pin for purpose in sorted(backups) for pin in backups[purpose]]


def _spki(issuer: Issuer) -> str:
    return pins.spki_sha256(issuer.certificate.public_key())
