"""The first run: issuers, profiles, listener certificates, an administrator.

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
) -> Made:
    """Make what is missing. An empty `admin_password` is generated and written to `password_file`.

    Raises Refusal (a name or an expired issuer), KeystoreError or OSError.
    """
    with alone(data_dir):
        issuing, made = _issuers(actor, now)
        revocation_lists.ensure(now)
        _profiles(issuing)
        for listener in listeners:
            listener_certificates.ensure(listener, hostnames, actor, now)
        administrator = _administrator(data_dir, admin_password, actor, now)
    return Made(made, administrator)


def _issuers(actor: Actor, now: datetime) -> tuple[Issuer, tuple[str, ...]]:
    made = []
    root = Issuer.objects.filter(parent=None).order_by("pk").first()
    if root is None:
        # The mark keeps two installations' CAs apart in a browser's or a phone's trust store.
        mark = secrets.token_hex(3).upper()
        root = authorities.make_root(f"Hatchery Root CA {mark}", ISSUER_KEY, actor, now)
        made.append(root.name)
    issuing = Issuer.objects.filter(parent=root).order_by("pk").first()
    if issuing is None:
        name = root.name.replace("Root", "Issuing")
        if name == root.name:
            name = f"{root.name[:52]} Issuing CA"
        issuing = authorities.make_subordinate(name, root, ISSUER_KEY, actor, now)
        made.append(issuing.name)
    return issuing, tuple(made)


def _profiles(issuing: Issuer) -> None:
    with writing():
        Profile.objects.get_or_create(
            name=devices.DEFAULT_PROFILE,
            defaults={
                "issuer": issuing,
                "lifetime_seconds": DEVICE_LIFETIME,
                "extended_key_usages": [ExtendedKeyUsage.CLIENT_AUTH],
            },
        )
        Profile.objects.get_or_create(
            name=listener_certificates.SERVER_PROFILE,
            defaults={
                "issuer": issuing,
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
