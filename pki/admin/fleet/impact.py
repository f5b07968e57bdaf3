"""What will stop working, in sentences."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.utils import timezone

from pki.admin.parts.shown import ago
from pki.models import Device, DeviceGroup, LastSeen


def refused_from_now(devices: Sequence[Device]) -> Iterable[str]:
    """Who of these devices was at work lately, and is to be refused."""
    seen = list(
        LastSeen.objects.filter(device__in=[device.pk for device in devices])
        .order_by("-at")
        .values_list("device__name", "at")
    )
    return _sentences(len(devices), seen, timezone.now())


def _sentences(number: int, seen: Sequence[tuple[str, datetime]], now: datetime) -> Iterable[str]:
    if not seen:
        yield "It was never seen at work." if number == 1 else "None of them was ever seen at work."
        return
    name, at = seen[0]
    if number == 1:
        yield f"It was last seen {ago(at, now)}; from now on it is refused."
        return
    lately = sum(at > now - timedelta(days=1) for _, at in seen)
    yield (
        f"{lately:,} of these {number:,} devices were seen within a day, the last of them {name}, "
        f"{ago(at, now)}."
    )


def followed(devices: Sequence[Device]) -> Iterable[str]:
    """Who signs for a device that follows its profile again, and who does not any more."""
    (device,) = devices
    yield (
        f"Its profile {device.profile} says {device.profile.issuer}; a campaign had decided on "
        f"{device.issuer}."
    )
    yield (
        "Certificates that it has stay as they are. If a campaign leads it elsewhere still, it leaves it "
        "alone from now on."
    )


def group_at_work(groups: Sequence[DeviceGroup]) -> list[str]:
    """Whether a group is at work. It may be large: its devices are not counted."""
    seen = LastSeen.objects.filter(device__groups=groups[0]).select_related("device").order_by("-at").first()
    if seen is None:
        return ["None of its devices was ever seen at work."]
    return [f"The last of them at work was {seen.device}, {ago(seen.at, timezone.now())}."]
