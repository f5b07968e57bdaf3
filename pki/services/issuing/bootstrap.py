"""The first run: issuers, profiles, listener certificates, an administrator, a key for the audit trail.

Doing it again makes only what is missing.
"""

import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.contrib.auth.models import User

from pki.core.profiles import ExtendedKeyUsage
from pki.keystore.files import make_private_folder, write_private
from pki.models import Issuer, Profile
from pki.services import audit
from pki.services.audit import Actor
from pki.services.auditing import sealing
from pki.services.fleet import devices
from pki.services.issuing import authorities, listener_certificates
from pki.services.node import alone
from pki.services.publishing import revocation_lists
from pki.services.transactions import writing

log = logging.getLogger("hatchery.bootstrap")

ADMINISTRATOR = "admin"
ISSUER_KEY = "P-256"
DEVICE_LIFETIME = 30 * 86400  # seconds
SERVER_LIFETIME = 90 * 86400  # seconds


@dataclass(frozen=True)
class Made:
    """What a bootstrap made that was not there before."""

    issuers: tuple[str, ...] = ()
    administrator: bool = False


def password_file(data_dir: Path) -> Path:
    """Where a generated administrator's password is kept, 0600."""
    return data_dir / "secrets" / "admin-password"


def bootstrap(
    data_dir: Path,
    listeners: Sequence[str],
    hostnames: Sequence[str],
    admin_password: str,
    actor: Actor,
    now: datetime,
    *,
    two_roots: bool = False,
) -> Made:
    """Make what is missing. An empty `admin_password` is generated and written to `password_file`.

    With `two_roots` a new installation has one root for its servers and another for its clients; one that has
    its profiles stays as it is. Raises Refusal (a name or an expired issuer), KeystoreError or OSError.
    """
    with alone(data_dir):
        made = () if _has_profiles() else _authorities(two_roots, actor, now)
        revocation_lists.ensure(now)
        for listener in listeners:
            listener_certificates.ensure(listener, hostnames, actor, now)
        sealing.ensure_key(actor, now)
        administrator = _administrator(data_dir, admin_password, actor, now)
    return Made(made, administrator)


def _has_profiles() -> bool:
    """Whether a first run has come so far; from then on issuers are the administrators' business."""
    names = (devices.DEFAULT_PROFILE, listener_certificates.SERVER_PROFILE)
    return Profile.objects.filter(name__in=names).count() == len(names)


def _authorities(two_roots: bool, actor: Actor, now: datetime) -> tuple[str, ...]:
    """Make issuers and profiles; the names of the issuers that were not there."""
    before = set(Issuer.objects.values_list("name", flat=True))
    # The mark keeps two installations' CAs apart in a browser's or a phone's trust store.
    mark = secrets.token_hex(3).upper()
    clients = _issuing_ca("Client " if two_roots else "", mark, actor, now)
    servers = _issuing_ca("Server ", mark, actor, now) if two_roots else clients
    _profiles(clients, servers)
    made = Issuer.objects.exclude(name__in=before).order_by("pk")
    return tuple(made.values_list("name", flat=True))


def _issuing_ca(kind: str, mark: str, actor: Actor, now: datetime) -> Issuer:
    """The issuing CA of a kind, with its root above it; "" is for all kinds."""
    title = f"Hatchery {kind}Root CA"
    roots = Issuer.objects.filter(parent=None, name__startswith=title if kind else "")
    root = roots.order_by("pk").first()
    if root is None:
        root = authorities.make_root(f"{title} {mark}", ISSUER_KEY, actor, now)
    issuing = Issuer.objects.filter(parent=root).order_by("pk").first()
    if issuing is None:
        name = root.name.replace("Root", "Issuing")
        if name == root.name:
            name = f"{root.name[:52]} Issuing CA"
        issuing = authorities.make_subordinate(name, root, ISSUER_KEY, actor, now)
    return issuing


def _profiles(clients: Issuer, servers: Issuer) -> None:
    with writing():
        Profile.objects.get_or_create(
            name=devices.DEFAULT_PROFILE,
            defaults={
                "issuer": clients,
                "lifetime_seconds": DEVICE_LIFETIME,
                "extended_key_usages": [ExtendedKeyUsage.CLIENT_AUTH],
            },
        )
        Profile.objects.get_or_create(
            name=listener_certificates.SERVER_PROFILE,
            defaults={
                "issuer": servers,
                "lifetime_seconds": SERVER_LIFETIME,
                "extended_key_usages": [ExtendedKeyUsage.SERVER_AUTH],
            },
        )


def _administrator(data_dir: Path, password: str, actor: Actor, now: datetime) -> bool:
    if User.objects.filter(is_superuser=True).exists():
        return False
    if User.objects.filter(username=ADMINISTRATOR).exists():
        log.warning("No user is a superuser, %s neither; make one: createsuperuser", ADMINISTRATOR)
        return False
    if not password:
        password = secrets.token_urlsafe(15)
        # Written first: a password that is in force but was lost would lock everybody out.
        make_private_folder(password_file(data_dir).parent)
        write_private(password_file(data_dir), password.encode() + b"\n")
    with writing():
        User.objects.create_superuser(ADMINISTRATOR, password=password)
        audit.record("administrator.made", actor, now, name=ADMINISTRATOR)
    return True
