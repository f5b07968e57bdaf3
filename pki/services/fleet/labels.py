"""Labels and groups: words and sets to find devices by, and to act on many of them at once."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db.models import Model, QuerySet

from pki.core import names
from pki.models import Device, DeviceGroup, Label
from pki.services import audit
from pki.services.audit import Actor
from pki.services.transactions import writing

_BATCH = 500


def parse(text: str) -> list[str]:
    """The labels of a text that separates them by commas or line breaks, each once. Raises NameRefused."""
    words = (word.strip() for word in text.replace("\n", ",").split(","))
    return list(dict.fromkeys(names.label(word) for word in words if word))


def groups_of(device_id: int) -> list[str]:
    """The names of a device's groups, in order."""
    return list(DeviceGroup.objects.filter(devices=device_id).order_by("name").values_list("name", flat=True))


def ensure(wanted: Iterable[str]) -> dict[str, Label]:
    """The labels of these names, made where there are none, inside the caller's transaction."""
    ordered = sorted(set(wanted))  # in one order, so that two who make the same do not deadlock
    found: dict[str, Label] = {}
    for start in range(0, len(ordered), _BATCH):
        some = ordered[start : start + _BATCH]
        Label.objects.bulk_create([Label(name=name) for name in some], ignore_conflicts=True)
        found |= {label.name: label for label in Label.objects.filter(name__in=some)}
    return found


def set_labels(device: Device, wanted: Sequence[str], actor: Actor, now: datetime) -> None:
    """Give a device these labels and no others. Raises NameRefused."""
    with writing():
        before = set(device.labels.values_list("name", flat=True))
        after = {names.label(name) for name in wanted}
        add(Device.objects.filter(pk=device.pk), sorted(after - before), actor, now)
        remove(Device.objects.filter(pk=device.pk), sorted(before - after), actor, now)


def add(devices: QuerySet[Device], wanted: Sequence[str], actor: Actor, now: datetime) -> int:
    """Put labels on devices; how many devices got one that they had not. Raises NameRefused."""
    with writing():
        labels = ensure(names.label(name) for name in wanted)
        chosen = list(devices.prefetch_related("labels"))
        added = {
            device: [name for name in labels if name not in {label.name for label in device.labels.all()}]
            for device in chosen
        }
        through = Device.labels.through
        through.objects.bulk_create(
            [
                through(device_id=device.pk, label_id=labels[name].pk)
                for device, fresh in added.items()
                for name in fresh
            ],
            ignore_conflicts=True,
            batch_size=_BATCH,
        )
        return _record("device.labelled", "added", added, actor, now)


def remove(devices: QuerySet[Device], unwanted: Sequence[str], actor: Actor, now: datetime) -> int:
    """Take labels off devices; how many devices had one."""
    with writing():
        chosen = list(devices.prefetch_related("labels"))
        removed = {
            device: [label.name for label in device.labels.all() if label.name in unwanted]
            for device in chosen
        }
        Device.labels.through.objects.filter(
            device__in=[device.pk for device in chosen], label__name__in=list(unwanted)
        ).delete()
        return _record("device.labelled", "removed", removed, actor, now)


def set_groups(device: Device, wanted: Iterable[DeviceGroup], actor: Actor, now: datetime) -> None:
    """Put a device into these groups and no others."""
    with writing():
        before, after = set(device.groups.all()), set(wanted)
        for group in sorted(after - before, key=str):
            join(Device.objects.filter(pk=device.pk), group, actor, now)
        for group in sorted(before - after, key=str):
            leave(Device.objects.filter(pk=device.pk), group, actor, now)


def join(devices: QuerySet[Device], group: DeviceGroup, actor: Actor, now: datetime) -> int:
    """Put devices into a group; how many were not in it."""
    with writing():
        chosen = list(devices)
        through = Device.groups.through
        inside = set(_members(group, chosen).values_list("device_id", flat=True))
        added = {device: [group.name] for device in chosen if device.pk not in inside}
        through.objects.bulk_create(
            [through(device_id=device.pk, devicegroup_id=group.pk) for device in added],
            ignore_conflicts=True,
            batch_size=_BATCH,
        )
        return _record("device.grouped", "added", added, actor, now)


def leave(devices: QuerySet[Device], group: DeviceGroup, actor: Actor, now: datetime) -> int:
    """Take devices out of a group; how many were in it."""
    with writing():
        chosen = list(devices)
        inside = set(_members(group, chosen).values_list("device_id", flat=True))
        removed = {device: [group.name] for device in chosen if device.pk in inside}
        _members(group, chosen).delete()
        return _record("device.grouped", "removed", removed, actor, now)


def save_group(group: DeviceGroup, changed: Sequence[str], actor: Actor, now: datetime) -> None:
    """Store a new or a changed group."""
    with writing():
        group.save()
        audit.record("group.saved", actor, now, group=group.name, changed=list(changed))


def _members(group: DeviceGroup, chosen: Sequence[Device]) -> QuerySet[Model]:
    return Device.groups.through.objects.filter(
        devicegroup_id=group.pk, device_id__in=[device.pk for device in chosen]
    )


def _record(kind: str, word: str, changes: dict[Device, list[str]], actor: Actor, now: datetime) -> int:
    entries = [(device, {word: sorted(names)}) for device, names in changes.items() if names]
    audit.record_each(kind, actor, now, entries)
    return len(entries)
