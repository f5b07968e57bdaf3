"""Which devices a campaign is for, and a look at them before it is made."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, OuterRef, QuerySet

from pki.models import Campaign, CampaignMember, Certificate, Device, DeviceGroup, Issuer, Label
from pki.services.rotating import renewable

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
    unable: int  # beside those: the conditions hold, and they cannot renew
    sample: tuple[Device, ...]  # the first SAMPLE by their numbers


def of(campaign: Campaign) -> Selection:
    """The selection that a campaign was drafted with."""
    return Selection(campaign.from_issuer, campaign.group, campaign.label, campaign.keys_before)


def matching(selection: Selection, now: datetime) -> QuerySet[Device]:
    """Devices that can renew, with a certificate that lives and for which all that is set holds; none if
    nothing is set.

    A device that is suspended is among them, for it may be resumed; one that is retired is not.
    """
    return _meant(selection, renewable.living(now)).filter(renewable.can_renew(now))


def unable(selection: Selection, now: datetime) -> QuerySet[Device]:
    """Devices that had a certificate for which all that is set holds, and cannot renew any more: all of
    theirs have ended, were revoked, or are of a compromised CA.
    """
    return _meant(selection, Certificate.objects.all()).filter(~renewable.can_renew(now))


def led_elsewhere() -> Exists:
    """The condition that a living campaign leads a device already."""
    return Exists(CampaignMember.objects.filter(device=OuterRef("pk"), living=True))


def preview(selection: Selection, now: datetime) -> Preview:
    """A look at what `selection` finds, with four bounded queries over devices."""
    found = matching(selection, now)
    numbers = list(found.order_by("pk").values_list("pk", flat=True)[: MOST_COUNTED + 1])
    counted = numbers[:MOST_COUNTED]
    elsewhere = 0
    if counted:
        elsewhere = CampaignMember.objects.filter(living=True, device__in=counted).count()
    stranded = unable(selection, now)
    is_more = len(numbers) > MOST_COUNTED
    if is_more:
        stranded = stranded.filter(pk__lte=counted[-1])
    number = stranded.order_by()[:MOST_COUNTED].count()
    sample = Device.objects.filter(pk__in=counted[:SAMPLE]).select_related("profile").order_by("pk")
    return Preview(len(counted), is_more, elsewhere, number, tuple(sample))


def _meant(selection: Selection, certificates: QuerySet[Certificate]) -> QuerySet[Device]:
    """Devices for which all conditions hold by one of these certificates."""
    if selection.is_empty:
        return Device.objects.none()
    theirs = certificates.filter(device=OuterRef("pk"))
    of_issuer = theirs.filter(issuer=selection.from_issuer) if selection.from_issuer else theirs
    found = Device.objects.exclude(state=Device.State.RETIRED).filter(Exists(of_issuer))
    if selection.group is not None:
        found = found.filter(pk__in=selection.group.devices.values("pk"))
    if selection.label is not None:
        found = found.filter(pk__in=selection.label.devices.values("pk"))
    if selection.keys_before is not None:
        found = found.filter(~Exists(_with_newer_key(theirs, selection.keys_before)))
    return found


def _with_newer_key(certificates: QuerySet[Certificate], before: datetime) -> QuerySet[Certificate]:
    """Those of a device's certificates that are for a key that it had not before this."""
    older = Certificate.objects.filter(
        device=OuterRef("device"), spki_sha256=OuterRef("spki_sha256"), issued_at__lt=before
    )
    return certificates.filter(~Exists(older), issued_at__gte=before)
