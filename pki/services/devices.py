"""Registering devices, and changing their state."""

from collections.abc import Iterable, Mapping, Sequence
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


class RetiredForGood(Refusal):
    """A retired device does not come back."""

    code = "device_retired"


class DeviceUnknown(Refusal):
    """There is no device of this name."""

    code = "device_unknown"


def find(name: str) -> Device:
    """The device of this name. Raises DeviceUnknown."""
    device = Device.objects.select_related("profile__issuer").filter(name=name).first()
    if device is None:
        raise DeviceUnknown(f"There is no device {name!r}.")
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


def change_state(device: Device, state: Device.State, actor: Actor, now: datetime) -> bool:
    """Suspend, resume or retire a device; whether it was in another state before.

    It takes effect at the device's next request. Raises RetiredForGood.
    """
    with writing():
        held = Device.objects.select_for_update().get(pk=device.pk)
        if held.state == state:
            return False
        if held.state == Device.State.RETIRED:
            raise RetiredForGood(f"The device {device} is retired, and stays so; register a new one.")
        Device.objects.filter(pk=device.pk).update(state=state)
        audit.record(f"device.{state}", actor, now, device=device, before=held.state)
    device.state = state
    return True


def change_states(devices: Iterable[Device], state: Device.State, actor: Actor, now: datetime) -> int:
    """The same for several, all or none; how many were in another state before."""
    with writing():
        return sum([change_state(device, state, actor, now) for device in devices])


def amend(device: Device, changed: Sequence[str], actor: Actor, now: datetime) -> None:
    """Store a device whose profile or names were changed. Certificates that it has stay as they are."""
    with writing():
        device.save(update_fields=["profile", "subject", "sans"])
        audit.record("device.amended", actor, now, device=device, changed=list(changed))
