"""Replacing a device's key on purpose: asked for by an administrator, done by the device.

The old certificate stays good until the new one was seen at work.
"""

import logging
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef

from pki.core.errors import Refusal
from pki.models import Certificate, Device, EnrollmentToken, Revocation
from pki.services import audit
from pki.services.audit import HATCHERY, Actor
from pki.services.enrolling import tokens
from pki.services.issuing import issuance
from pki.services.revoking import revocation
from pki.services.transactions import writing


class NothingToRotate(Refusal):
    """The device has no certificate that stands."""

    code = "nothing_to_rotate"


def request(device: Device, actor: Actor, now: datetime) -> None:
    """Note that a device is to have a new key. Raises NothingToRotate or issuance.DeviceInactive.

    Once it proves itself with a key that it had not before this, its other certificates are superseded.
    """
    issuance.require_active_device(device)
    if not revocation.living(device, now).exists():
        raise NothingToRotate(f"{device} has no certificate that stands; make a token to enroll it.")
    with writing():
        Device.objects.filter(pk=device.pk).update(rotation_requested_at=now)
        audit.record("rotation.requested", actor, now, device=device)
    device.rotation_requested_at = now


def request_with_token(
    device: Device,
    actor: Actor,
    now: datetime,
    *,
    uses: int = 1,
    lifetime: timedelta = tokens.DEFAULT_LIFETIME,
) -> tuple[str, EnrollmentToken]:
    """The same, with a token by which the device gets its new certificate. Raises also TokenUnfit."""
    with writing():
        request(device, actor, now)
        return tokens.make(actor, now, device.profile, device=device, uses=uses, lifetime=lifetime)


def cancel(device: Device, actor: Actor, now: datetime) -> bool:
    """Let a device keep its certificates after all; whether it was to rotate. Its tokens stay as they are."""
    with writing():
        rotating = Device.objects.filter(pk=device.pk, rotation_requested_at__isnull=False)
        if not rotating.update(rotation_requested_at=None):
            return False
        audit.record("rotation.cancelled", actor, now, device=device)
    device.rotation_requested_at = None
    return True


def complete(device_id: int, certificate_id: int, now: datetime) -> None:
    """End a device's rotation if the certificate that it just showed is for a key that is new since then."""
    shown = Certificate.objects.select_related("device").get(pk=certificate_id)
    had_before = Certificate.objects.filter(
        device=OuterRef("pk"),
        spki_sha256=shown.spki_sha256,
        issued_at__lte=OuterRef("rotation_requested_at"),
    )
    rotating = Device.objects.filter(~Exists(had_before), rotation_requested_at__lt=shown.issued_at)
    with writing():
        ended = rotating.filter(pk=device_id).update(rotation_requested_at=None)
        if not ended or shown.device is None:
            return
        others = list(revocation.living(shown.device, now).exclude(spki_sha256=shown.spki_sha256))
        if others:
            revocation.revoke(others, Revocation.Reason.SUPERSEDED, HATCHERY, now)
        audit.record(
            "rotation.completed",
            HATCHERY,
            now,
            device=shown.device,
            certificate=shown,
            level=logging.INFO,
            superseded=len(others),
        )
