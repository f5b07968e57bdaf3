"""Which devices have which version of the trust bundle, as far as they fetched it on the secure listener."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, OuterRef

from pki.models import Certificate, Device, Issuer, LastSeen
from pki.services.counting import Bounded, bounded
from pki.services.trusting import published_roots
from pki.services.trusting.anchors import anchors


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


def knowing_no_other(root: Issuer, now: datetime) -> Bounded:
    """Active devices with a certificate that have fetched no trust bundle with a root besides this one: once
    this one is lost they verify no listener any more, and fetch nothing. None of a root that no bundle names.

    What a device was given by hand nobody knows; but who enrolled before this root was made, while an older
    one stands, was not given this one alone.
    """
    trusted = anchors(now).trusted
    if root not in trusted:
        return Bounded(0)
    others = [other for other in trusted if other != root]
    theirs = Certificate.objects.filter(device=OuterRef("pk"))
    alone = Device.objects.filter(Exists(theirs), state=Device.State.ACTIVE)
    if any(other.created_at < root.created_at for other in others):
        alone = alone.filter(~Exists(theirs.filter(issued_at__lt=root.created_at)))
    versions = [published_roots.first_version(other) for other in others]
    if known := [version for version in versions if version is not None]:
        fetched = LastSeen.objects.filter(device=OuterRef("pk"), bundle_version__gte=min(known))
        alone = alone.filter(~Exists(fetched))
    return bounded(alone)
