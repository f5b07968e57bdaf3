"""Which devices can renew: what `proving.status.renewable` says of one certificate, asked of many devices."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q, QuerySet

from pki.models import Certificate, Device, Issuer, Profile, Revocation
from pki.services.issuing.dependence import lost


def living(now: datetime) -> QuerySet[Certificate]:
    """Certificates of devices that have not ended, or in the grace of their device's profile only, and are
    not revoked. One on hold is among them, for it may come back.
    """
    good = Q(not_after__gte=now)
    for profile, hours in Profile.objects.filter(grace_hours__gt=0).values_list("pk", "grace_hours"):
        good |= Q(device__profile=profile, not_after__gte=now - timedelta(hours=hours))
    revoked = Revocation.objects.exclude(reason=Revocation.Reason.CERTIFICATE_HOLD)
    return Certificate.objects.filter(good, ~Exists(revoked.filter(certificate=OuterRef("pk"))))


def can_renew(now: datetime) -> Exists:
    """The condition that a device has a living certificate of a CA that is relied on."""
    # By their numbers, of which there are none as a rule: the certificates' query need not look at issuers.
    good = living(now).exclude(issuer__in=_not_relied_on(now))
    return Exists(good.filter(device=OuterRef("pk")))


def able(devices: Iterable[int], now: datetime) -> set[int]:
    """Which of these devices (their numbers) can renew, and are not retired."""
    found = Device.objects.filter(can_renew(now), pk__in=list(devices)).exclude(state=Device.State.RETIRED)
    return set(found.values_list("pk", flat=True))


def _not_relied_on(now: datetime) -> set[int]:
    """The numbers of the issuers that are compromised or have ended, or a CA above them."""
    ended = Issuer.objects.filter(Q(not_after__lt=now) | Q(parent__not_after__lt=now))
    return lost() | set(ended.values_list("pk", flat=True))
