"""Logging in with a client certificate, and whether the first password was ever changed."""

import re
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from django.conf import settings
from django.contrib.auth.hashers import check_password
from django.contrib.auth.models import User

from pki.core import pins
from pki.core.errors import Refusal
from pki.models import Certificate, LoginKey, Revocation
from pki.services import audit
from pki.services.audit import Actor
from pki.services.issuing import bootstrap
from pki.services.proving import status
from pki.services.revoking import revocation
from pki.services.transactions import writing


class NoLogin(Refusal):
    """A client certificate that logs nobody in."""

    code = "no_login"


class KeyRefused(Refusal):
    """A key that cannot become a login key."""

    code = "login_key_refused"


def proven(certificate: x509.Certificate | None, now: datetime) -> LoginKey:
    """Whose login key a connection's client certificate shows. Raises NoLogin, which says why it does not.

    The key is what counts, and not what a certificate says: who may issue certificates could write any
    name into one.
    """
    if certificate is None:
        raise NoLogin("Your browser showed no client certificate.")
    try:
        status.standing(pins.fingerprint_of(certificate), now)
    except status.NotStanding as refusal:
        raise NoLogin(refusal.detail) from refusal
    key = LoginKey.objects.select_related("user").filter(spki_sha256=_spki_sha256(certificate)).first()
    if key is None or not (key.user.is_active and key.user.is_staff):
        raise NoLogin("The key of your client certificate logs nobody in; a superuser can allow it.")
    _refuse_compromised(key.spki_sha256, NoLogin)
    return key


def find_certificate(text: str, now: datetime) -> Certificate:
    """A standing client certificate of ours: by its PEM, its SHA-256 fingerprint or its serial.

    Raises KeyRefused.
    """
    text = text.strip()
    if text.startswith("-----BEGIN"):
        try:
            fingerprint = pins.fingerprint_of(x509.load_pem_x509_certificate(text.encode()))
        except ValueError as error:
            raise KeyRefused("This is no certificate in PEM; paste all lines of it.") from error
        found = Certificate.objects.filter(fingerprint=fingerprint).first()
    elif re.fullmatch(r"[0-9a-f]{64}", hexadecimal := re.sub(r"[:\s]", "", text).lower()):
        found = Certificate.objects.filter(fingerprint=hexadecimal).first()
    else:
        try:
            found = revocation.find_by_serial(text)
        except revocation.CertificateUnknown as refusal:
            raise KeyRefused(refusal.detail) from refusal
    if found is None:
        raise KeyRefused("This certificate was not issued here; only those of this authority log in.")
    try:
        status.standing(found.fingerprint, now)
    except status.NotStanding as refusal:
        raise KeyRefused(refusal.detail) from refusal
    if not _is_for_clients(found.parsed):
        raise KeyRefused("This certificate lacks the extended key usage clientAuth.")
    return found


def add_key(user: User, certificate: Certificate, name: str, actor: Actor, now: datetime) -> LoginKey:
    """Let the key of `certificate` log `user` in. Raises KeyRefused."""
    if not user.is_staff:
        raise KeyRefused("Only staff can log into the console.")
    _refuse_compromised(certificate.spki_sha256, KeyRefused)
    with writing():
        key, new = LoginKey.objects.get_or_create(
            spki_sha256=certificate.spki_sha256,
            defaults={"user": user, "name": name, "created_at": now, "created_by": actor.name},
        )
        if not new:
            raise KeyRefused("This key logs in somebody already; remove it there first.")
        audit.record(
            "login_key.added", actor, now, certificate=certificate, user=user.get_username(), name=name
        )
    return key


def remove_key(key: LoginKey, actor: Actor, now: datetime) -> None:
    """Let a key log nobody in any more; sessions that it began end at their next request."""
    with writing():
        audit.record(
            "login_key.removed",
            actor,
            now,
            user=key.user.get_username(),
            name=key.name,
            spki_sha256=key.spki_sha256,
        )
        key.delete()


def default_password_in_use() -> bool:
    """Whether the first administrator still has the password that was generated and lies in a file.

    A password is hashed once a process for each that was set; the other times it is remembered.
    """
    file = bootstrap.password_file(settings.PORTAL_DATA_DIR)
    try:
        written = file.stat().st_mtime_ns
    except OSError:
        return False  # it was given, or the file is gone, as it should
    encoded = (
        User.objects.filter(username=bootstrap.ADMINISTRATOR, is_active=True)
        .values_list("password", flat=True)
        .first()
    )
    return encoded is not None and _is_in_file(encoded, file, written)


@lru_cache(maxsize=8)
def _is_in_file(encoded: str, file: Path, written: int) -> bool:
    try:
        return check_password(file.read_text().strip(), encoded)
    except (OSError, UnicodeDecodeError):
        return False


def _is_for_clients(certificate: x509.Certificate) -> bool:
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return ExtendedKeyUsageOID.CLIENT_AUTH in usages


def _spki_sha256(certificate: x509.Certificate) -> str:
    return pins.spki_sha256(certificate.public_key())


def _refuse_compromised(spki_sha256: str, refusal: type[Refusal]) -> None:
    if Certificate.objects.filter(
        spki_sha256=spki_sha256, revocation__reason=Revocation.Reason.KEY_COMPROMISE
    ).exists():
        raise refusal("This key was revoked as compromised.")
