"""What members of campaigns do, seen from outside: they show certificates, and are refused."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from pki.models import Device

if TYPE_CHECKING:
    # It calls this module.
    from pki.services.fleet.sightings import Sighting


def seen(sightings: Sequence["Sighting"]) -> None:
    """Note of a batch of sightings who has moved. One query if no member of a campaign is among them."""


def failed(device: Device, code: str, reason: str, now: datetime) -> None:
    """Note that a device that was asked was refused a renewal; if it was not asked, nothing."""
