"""Which devices have which version of the trust bundle, as far as they fetched it on the secure listener."""

from dataclasses import dataclass

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
    active = LastSeen.objects.filter(device__state=Device.State.ACTIVE)
    return Followers(
        have=bounded(active.filter(bundle_version__gte=version)),
        older=bounded(active.filter(bundle_version__lt=version)),
        none=bounded(active.filter(bundle_version=None)),
    )
