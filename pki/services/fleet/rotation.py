"""Replacing a device's key on purpose: asked for by an administrator, done by the device.

The old certificate stays good until the new one was seen at work.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, OuterRef

from pki.core.errors import Refusal
from pki.models import Campaign, CampaignMember, Certificate, Device, EnrollmentToken, Renewal, Revocation
from pki.services import audit
from pki.services.audit import HATCHERY, Actor
from pki.services.enrolling import tokens
from pki.services.issuing import issuance
from pki.services.revoking import revocation
from pki.services.rotating.shown import Showing, Shown, by_device
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


def complete(sightings: Sequence[Showing]) -> None:
    """End the rotations of devices that showed a certificate for a key that is new since they were asked.

    Their other certificates are superseded. One query if none of the batch (500 at most) rotates; some more,
    however many do.
    """
    numbers = {each.device_id for each in sightings}
    rotating = Device.objects.filter(pk__in=numbers, rotation_requested_at__isnull=False)
    if not (found := set(rotating.values_list("pk", flat=True))):
        return
    shown = by_device(each for each in sightings if each.device_id in found)
    now = max(each.at for each in sightings)
    with writing():
        ended: dict[int, Shown] = {}
        # In one order, so that two workers that write the same devices do not deadlock.
        for device in rotating.order_by("pk").select_for_update(no_key=True):
            for each in shown.get(device.pk, ()):
                if device.rotation_requested_at and each.key_since > device.rotation_requested_at:
                    ended[device.pk] = each
        if ended:
            Device.objects.filter(pk__in=ended).update(rotation_requested_at=None)
            _record(ended, _supersede_others(ended, now), now)


def _supersede_others(ended: Mapping[int, Shown], now: datetime) -> Counter[int]:
    """Revoke what devices have for other keys than the one that they showed; how many, by device.

    What they showed to renew it is revoked in its time (`renewing.first_use`): programs of a device take up
    a new certificate one after the other.
    """
    in_its_time = Renewal.objects.filter(replaced=OuterRef("pk"), supersede_at__isnull=False)
    living = Certificate.objects.filter(
        ~Exists(in_its_time), device__in=ended, revocation=None, not_after__gte=now
    )
    others = [
        each
        for each in revocation.in_short(living)
        if each.device_id is not None and each.spki_sha256 != ended[each.device_id].spki_sha256
    ]
    if others:
        try:
            revocation.revoke(others, Revocation.Reason.SUPERSEDED, HATCHERY, now)
        except revocation.AlreadyRevoked:
            return Counter()  # somebody else was quicker
    return Counter(each.device_id for each in others if each.device_id is not None)


def _record(ended: Mapping[int, Shown], superseded: Mapping[int, int], now: datetime) -> None:
    """An event for each device, but for those of a campaign: it counts them."""
    led = CampaignMember.objects.filter(device__in=ended, living=True, campaign__kind=Campaign.Kind.KEY)
    counted = set(led.values_list("device", flat=True))
    showed = Certificate.objects.filter(pk__in=[each.pk for each in ended.values()]).select_related("device")
    entries: list[tuple[Device | Certificate, dict[str, Any]]] = [
        (each, {"superseded": superseded.get(each.device_id, 0)})
        for each in showed.defer("der").order_by("pk")
        if each.device_id is not None and each.device_id not in counted
    ]
    audit.record_each("rotation.completed", HATCHERY, now, entries)
