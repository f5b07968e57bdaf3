"""Which devices a campaign is for, and a look at them before it is made."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, OuterRef, QuerySet

from pki.models import Campaign, CampaignMember, Certificate, Device, DeviceGroup, Issuer, Label
from pki.services.revoking import revocation

# A preview counts so far and no further, and names so many.
MOST_COUNTED = 10_000
SAMPLE = 10


@dataclass(frozen=True)
class Selection:
    """Conditions that must all hold, of those that are set; at least one is."""

    from_issuer: Issuer | None = None  # it has a living certificate of this issuer
    group: DeviceGroup | None = None
    label: Label | None = None
    keys_before: datetime | None = None  # its newest key was first certified before this (UTC)

    @property
    def is_empty(self) -> bool:
        return not (self.from_issuer or self.group or self.label or self.keys_before)

    @property
    def is_whole_issuer(self) -> bool:
        """Whether it is everything that an issuer signed for, and nothing else."""
        return self.from_issuer is not None and not (self.group or self.label or self.keys_before)


@dataclass(frozen=True)
class Preview:
    """What a selection finds now; counts stop at MOST_COUNTED."""

    count: int
    is_more: bool  # than `count`
    elsewhere: int  # of those, that another campaign leads: they would be left out
    sample: tuple[Device, ...]  # the first SAMPLE by their numbers


def of(campaign: Campaign) -> Selection:
    """The selection that a campaign was drafted with."""
    return Selection(campaign.from_issuer, campaign.group, campaign.label, campaign.keys_before)


def matching(selection: Selection, now: datetime) -> QuerySet[Device]:
    """Devices with a certificate that lives and for which all that is set holds; none if nothing is set.

    A device that is suspended is among them, for it may be resumed; one that is retired is not.
    """
    if selection.is_empty:
        return Device.objects.none()
    certificates = _living(now)
    if selection.from_issuer is not None:
        certificates = certificates.filter(issuer=selection.from_issuer)
    found = Device.objects.exclude(state=Device.State.RETIRED).filter(Exists(certificates))
    if selection.group is not None:
        found = found.filter(pk__in=selection.group.devices.values("pk"))
    if selection.label is not None:
        found = found.filter(pk__in=selection.label.devices.values("pk"))
    if selection.keys_before is not None:
        found = found.filter(~Exists(_with_newer_key(selection.keys_before, now)))
    return found


def led_elsewhere() -> Exists:
    """The condition that a living campaign leads a device already."""
    return Exists(CampaignMember.objects.filter(device=OuterRef("pk"), living=True))


def preview(selection: Selection, now: datetime) -> Preview:
    """A look at what `selection` finds, with three bounded queries."""
    found = matching(selection, now)
    numbers = list(found.order_by("pk").values_list("pk", flat=True)[: MOST_COUNTED + 1])
    counted = numbers[:MOST_COUNTED]
    elsewhere = 0
    if counted:
        elsewhere = CampaignMember.objects.filter(living=True, device__in=counted).count()
    sample = Device.objects.filter(pk__in=counted[:SAMPLE]).select_related("profile").order_by("pk")
    return Preview(len(counted), len(numbers) > MOST_COUNTED, elsewhere, tuple(sample))


def _living(now: datetime) -> QuerySet[Certificate]:
    return Certificate.objects.filter(revocation.unrevoked(), device=OuterRef("pk"), not_after__gte=now)


def _with_newer_key(before: datetime, now: datetime) -> QuerySet[Certificate]:
    """A device's living certificates for a key that it had not before this."""
    older = Certificate.objects.filter(
        device=OuterRef("device"), spki_sha256=OuterRef("spki_sha256"), issued_at__lt=before
    )
    return _living(now).filter(~Exists(older), issued_at__gte=before)
