"""Registering devices, and changing their state."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import IntegrityError
from django.db.models import QuerySet

from pki.core import names
from pki.core.errors import Refusal
from pki.models import Device, DeviceGroup, Label, Profile
from pki.services import audit
from pki.services.audit import Actor
from pki.services.fleet import labels
from pki.services.prepared import insert
from pki.services.rotating import overrides
from pki.services.transactions import writing

# The profile of a device that nobody registered: one that a pattern token or an open policy makes.
DEFAULT_PROFILE = "device"
# Devices that one statement stores.
BATCH = 1_000


class DeviceExists(Refusal):
    """There is a device of this name already."""

    code = "device_exists"


class RetiredForGood(Refusal):
    """A retired device does not come back."""

    code = "device_retired"


class DeviceUnknown(Refusal):
    """There is no device of this name."""

    code = "device_unknown"


class BrokenOff(Refusal):
    """Some of many devices were done, and then one was refused."""

    code = "broken_off"


def find(name: str) -> Device:
    """The device of this name. Raises DeviceUnknown."""
    device = Device.objects.select_related("profile__issuer__parent").filter(name=name).first()
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
            device = insert(
                Device(name=name, profile=profile, subject=checked_subject, sans=checked_sans, created_at=now)
            )
            audit.record("device.registered", actor, now, device=device, profile=profile.name)
    except IntegrityError as error:
        raise DeviceExists(f"There is a device {name!r} already; ask for a token for it.") from error
    return device


@dataclass(frozen=True)
class NewDevice:
    """A device that is to be registered; its names are checked already (`pki.services.fleet.rosters`)."""

    name: str
    profile: Profile
    subject: Mapping[str, str] = field(default_factory=dict)
    sans: Sequence[str] = ()
    groups: Sequence[DeviceGroup] = ()
    labels: Sequence[str] = ()


def register_each(new: Sequence[NewDevice], actor: Actor, now: datetime) -> Iterator[list[Device]]:
    """Put many new devices on record, each with its own event, inside the caller's transaction.

    Yields them in batches, as they are stored. Raises DeviceExists, and the caller's transaction is void.
    """
    known = labels.ensure(label for each in new for label in each.labels)
    # In one order, so that of two who register the same names one waits and is refused: no deadlock.
    ordered = sorted(new, key=lambda each: each.name)
    for start in range(0, len(ordered), BATCH):
        yield _register_batch(ordered[start : start + BATCH], known, actor, now)


def _register_batch(
    new: Sequence[NewDevice], known: Mapping[str, Label], actor: Actor, now: datetime
) -> list[Device]:
    try:
        made = Device.objects.bulk_create(
            [
                Device(
                    name=each.name,
                    profile=each.profile,
                    subject=dict(each.subject),
                    sans=list(each.sans),
                    created_at=now,
                )
                for each in new
            ]
        )
    except IntegrityError as error:
        raise DeviceExists("One of these names was registered by somebody else this moment.") from error
    in_group, with_label = Device.groups.through, Device.labels.through
    pairs = list(zip(made, new, strict=True))
    in_group.objects.bulk_create(
        in_group(device_id=device.pk, devicegroup_id=group.pk)
        for device, each in pairs
        for group in each.groups
    )
    with_label.objects.bulk_create(
        with_label(device_id=device.pk, label_id=known[name].pk)
        for device, each in pairs
        for name in each.labels
    )
    audit.record_each(
        "device.registered", actor, now, [(device, {"profile": device.profile.name}) for device in made]
    )
    return made


def default_profile() -> Profile:
    """The profile that new devices get. Raises Profile.DoesNotExist before `bootstrap`."""
    return Profile.objects.select_related("issuer__parent").get(name=DEFAULT_PROFILE)


def change_state(device: Device, state: Device.State, actor: Actor, now: datetime) -> bool:
    """Suspend, resume or retire a device; whether it was in another state before.

    It takes effect at the device's next request. Raises RetiredForGood.
    """
    changed = change_states([device], state, actor, now) > 0
    if changed:
        device.state = state
    return changed


def change_states(devices: Iterable[Device], state: Device.State, actor: Actor, now: datetime) -> int:
    """The same for several, all or none; how many were in another state before. Raises RetiredForGood."""
    with writing():
        keys = [device.pk for device in devices]
        # In one order, so that two who change the same devices do not deadlock.
        held = Device.objects.select_for_update().filter(pk__in=keys).exclude(state=state).order_by("pk")
        changing = list(held)
        for device in changing:
            if device.state == Device.State.RETIRED and state != Device.State.RETIRED:
                raise RetiredForGood(f"The device {device} is retired, and stays so; register a new one.")
        Device.objects.filter(pk__in=[device.pk for device in changing]).update(state=state)
        audit.record_each(
            f"device.{state}", actor, now, [(device, {"before": device.state}) for device in changing]
        )
    return len(changing)


def amend(device: Device, changed: Sequence[str], actor: Actor, now: datetime) -> None:
    """Store a device whose profile or names were changed. Certificates that it has stay as they are.

    With a profile of another issuer it follows that one, whatever a campaign had decided.
    """
    if not changed:
        return
    with writing():
        before = overrides.leave_with_profile(device) if "profile" in changed else None
        device.save(update_fields=["profile", "subject", "sans"])
        instead_of = before.name if before else None
        audit.record(
            "device.amended", actor, now, device=device, changed=list(changed), instead_of=instead_of
        )


def change_states_of(group: DeviceGroup, state: Device.State, actor: Actor, now: datetime) -> int:
    """The same for all devices of a group; those that are retired stay so. How many were changed.

    It is done in batches, so that no large group holds up devices that enroll; broken off, it can be done
    again.
    """
    before = {Device.State.ACTIVE: [Device.State.SUSPENDED], Device.State.SUSPENDED: [Device.State.ACTIVE]}
    from_states = before.get(state, [Device.State.ACTIVE, Device.State.SUSPENDED])
    changed = last = 0
    while True:
        batch = list(group.devices.filter(pk__gt=last, state__in=from_states).order_by("pk")[:BATCH])
        if not batch:
            return changed
        changed += change_states(batch, state, actor, now)
        last = batch[-1].pk


def in_batches(chosen: QuerySet[Device], work: Callable[[QuerySet[Device]], int]) -> int:
    """Do `work` with many devices: BATCH at a time, each batch all or none; the sum of what it counts.

    Raises what `work` raises for the first batch, and BrokenOff for a later one.
    """
    # All of them are known before the work changes what `chosen` finds.
    numbers = sorted(chosen.values_list("pk", flat=True))
    done = 0
    for start in range(0, len(numbers), BATCH):
        try:
            done += work(Device.objects.filter(pk__in=numbers[start : start + BATCH]))
        except Refusal as refusal:
            if not start:
                raise
            raise BrokenOff(f"{refusal.detail} Changed before that, for good: {done:,}.") from refusal
    return done
