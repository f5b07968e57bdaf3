"""Registering devices, and changing their state."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import IntegrityError

from pki.core import names
from pki.core.errors import Refusal
from pki.models import Device, Profile
from pki.services import audit
from pki.services.audit import Actor
from pki.services.transactions import writing

# The profile of a device that nobody registered: one that a pattern token or an open policy makes.
DEFAULT_PROFILE = "device"


class DeviceExists(Refusal):
    """There is a device of this name already."""

    code = "device_exists"


class DeviceUnknown(Refusal):
    """There is no device of this name."""

    code = "device_unknown"


def find(name: str) -> Device:
    """The device of this name. Raises DeviceUnknown."""
    device = Device.objects.select_related("profile__issuer").filter(name=name).first()
    if device is None:
        raise DeviceUnknown(f"There is no device {name!r}; register it first.")
    return device


def register(
    name: str,
    profile: Profile,
    actor: Actor,
    now: datetime,
    *,
    subject: Mapping[str, str] | None = None,
    sans: Sequence[str] = (),
) -> Device:
    """Put a new device on record. Raises NameRefused or DeviceExists."""
    names.device_name(name)
    checked_subject = names.checked_subject(subject or {})
    checked_sans = [str(names.parse_san(san)) for san in sans]
    try:
        with writing():
            device = Device.objects.create(
                name=name, profile=profile, subject=checked_subject, sans=checked_sans, created_at=now
            )
            audit.record("device.registered", actor, now, device=device, profile=profile.name)
    except IntegrityError as error:
        raise DeviceExists(f"There is a device {name!r} already; ask for a token for it.") from error
    return device


def default_profile() -> Profile:
    """The profile that new devices get. Raises Profile.DoesNotExist before `bootstrap`."""
    return Profile.objects.select_related("issuer").get(name=DEFAULT_PROFILE)


def change_state(device: Device, state: Device.State, actor: Actor, now: datetime) -> None:
    """Suspend, resume or retire a device. It takes effect at the device's next request."""
    with writing():
        changed = Device.objects.filter(pk=device.pk).exclude(state=state).update(state=state)
        if changed:
            device.state = state
            audit.record(f"device.{state}", actor, now, device=device)


def amend(device: Device, changed: Sequence[str], actor: Actor, now: datetime) -> None:
    """Store a device whose profile or names were changed. Certificates that it has stay as they are."""
    with writing():
        device.save(update_fields=["profile", "subject", "sans"])
        audit.record("device.amended", actor, now, device=device, changed=list(changed))
