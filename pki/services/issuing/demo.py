"""The demo device and the files of the README's walk. `--no-demo` leaves them out."""

import logging
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from pki.core import bundles, csr, keys, pins
from pki.core.errors import Refusal
from pki.keystore.files import make_private_folder, write_private
from pki.models import Certificate, Device, EnrollmentToken
from pki.services.audit import Actor
from pki.services.enrolling import tokens
from pki.services.fleet import devices
from pki.services.issuing import authorities, issuance, listener_certificates

log = logging.getLogger("hatchery.demo")

DEVICE = "demo-iphone"
P12_PASSWORD = "demo"  # noqa: S105  printed in the README: it protects nothing, and is not meant to
TOKEN_USES = 10
TOKEN_LIFETIME = timedelta(hours=24)


def make(folder: Path, actor: Actor, now: datetime) -> None:
    """Make the demo device and its files, or those of them that are missing or worn out.

    A demo certificate that was revoked stays revoked. Raises Refusal, KeystoreError or OSError.
    """
    make_private_folder(folder)
    profile = devices.default_profile()
    device = Device.objects.select_related("profile__issuer__parent").filter(name=DEVICE).first()
    if device is None:
        device = devices.register(DEVICE, profile, actor, now)
    # What a client trusts, and what its own certificate leads to: two roots, if there are two.
    _write_if_new(folder / "ca.pem", bundles.pem([listener_certificates.root().certificate]))
    above = [*authorities.chain(profile.issuer), authorities.root_of(profile.issuer).certificate]
    _write_if_new(folder / "ca-chain.pem", bundles.pem(above))
    if device.state == Device.State.ACTIVE and _is_worn(folder, now):
        try:
            _enroll(folder, device, actor, now)
        except Refusal as refusal:
            # The demo is an extra; an administrator may have set the profile to what it does not fit.
            log.warning("The demo device has no certificate: %s", refusal.detail)
    if not _token_is_good(folder / "token", now):
        secret, _ = tokens.make(
            actor, now, profile, name_pattern="*", uses=TOKEN_USES, lifetime=TOKEN_LIFETIME
        )
        write_private(folder / "token", secret.encode() + b"\n")


def _is_worn(folder: Path, now: datetime) -> bool:
    """Whether the client's files are missing, damaged, of another installation, or near their end."""
    if not all((folder / name).exists() for name in ("client.pem", "client.key", "client.p12")):
        return True
    try:
        certificate = x509.load_pem_x509_certificate((folder / "client.pem").read_bytes())
    except ValueError:
        return True
    stored = Certificate.objects.filter(fingerprint=pins.fingerprint_of(certificate)).first()
    return stored is None or now > stored.not_after - (stored.not_after - stored.not_before) / 3


def _enroll(folder: Path, device: Device, actor: Actor, now: datetime) -> None:
    key = keys.generate("P-256")
    issued, _ = issuance.issue(device, csr.made(key, device.name), actor, now)
    certificate = issued.certificate.parsed
    (folder / "client.pem").unlink(missing_ok=True)
    write_private(folder / "client.key", bundles.private_key_pem(key))
    write_private(
        folder / "client.p12",
        bundles.pkcs12_modern(device.name, key, certificate, issued.chain, P12_PASSWORD),
    )
    # Removed first and written last: a crash in between means doing all of it again.
    write_private(folder / "client.pem", issued.pem)


def _token_is_good(path: Path, now: datetime) -> bool:
    if not path.exists():
        return False
    try:
        token: EnrollmentToken = tokens.find(path.read_text().strip(), now)
    except (tokens.TokenInvalid, UnicodeDecodeError):
        return False
    return token.uses < token.uses_allowed


def _write_if_new(path: Path, data: bytes) -> None:
    if not path.exists() or path.read_bytes() != data:
        write_private(path, data)
