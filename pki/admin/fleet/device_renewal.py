"""What a device's page shows of its renewals: when the next is due, who asked for it, and those that were."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest

from pki.models import CampaignMember, Certificate, Device, Renewal, Revocation
from pki.services.renewing import windows

_SHOWN = 20


@dataclass(frozen=True)
class Told:
    """A line of the table of renewals."""

    renewal: Renewal
    # What became of the certificate before: revoked, to be superseded, or nothing.
    revoked: Revocation | None


def context(
    device: Device, current: Certificate | None, request: HttpRequest, now: datetime
) -> dict[str, Any]:
    """What the template is given, as far as this user may see it."""
    may = request.user.has_perm
    given: dict[str, Any] = {"renewals": None, "hint": None, "member": None}
    if may("pki.view_campaignmember"):
        of_device = CampaignMember.objects.filter(device=device, living=True)
        given["member"] = of_device.select_related("campaign").first()
    if may("pki.view_renewal"):
        given["renewals"] = _renewals(device)
    if current is not None and device.state == Device.State.ACTIVE:
        current.device = device
        given["hint"] = windows.of_certificate(current, now)
        given["is_due"] = given["hint"].window.start <= now
    return given


def _renewals(device: Device) -> list[Told]:
    latest = (
        device.renewals.select_related("certificate", "replaced__revocation")
        .defer("certificate__der", "replaced__der")
        .order_by("-at")[:_SHOWN]
    )
    return [Told(each, getattr(each.replaced, "revocation", None)) for each in latest]
