"""The one certificate of a device that is meant when nobody says which."""

from datetime import datetime

from pki.models import Certificate, Device
from pki.services.issuing.dependence import lost
from pki.services.revoking import revocation


def of(device: Device, now: datetime) -> Certificate | None:
    """The latest of those that are good; if none is, the latest that would be but for its issuer."""
    begun = revocation.living(device, now).filter(not_before__lte=now)
    by_age = begun.select_related("profile", "issuer__parent").order_by("-pk")
    return by_age.exclude(issuer__in=lost()).first() or by_age.first()
