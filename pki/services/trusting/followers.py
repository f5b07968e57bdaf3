"""Which devices have which version of the trust bundle, as far as they fetched it on the secure listener."""

from dataclasses import dataclass

from django.db.models import Exists, OuterRef

from pki.models import Device, LastSeen
from pki.services.counting import Bounded, bounded


@dataclass(frozen=True)
class Followers:
    """Active devices that were seen, by the version that they fetched last."""

    have: Bounded  # this version, or a later one
    older: Bounded
    none: Bounded  # never any where they show their certificate


def of(version: int) -> Followers:
    """Who has this version, in three bounded queries."""
    # Not joined: SQLite would begin with all active devices, and ask after each.
    active = LastSeen.objects.filter(
        Exists(Device.objects.filter(pk=OuterRef("device"), state=Device.State.ACTIVE))
    )
    return Followers(
        have=bounded(active.filter(bundle_version__gte=version)),
        older=bounded(active.filter(bundle_version__lt=version)),
        none=bounded(active.filter(bundle_version=None)),
    )
