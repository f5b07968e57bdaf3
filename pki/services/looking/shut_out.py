"""Devices that a compromise has shut out: what they have is refused, so each enrolls again, by a token."""

from collections.abc import Collection, Iterator
from datetime import datetime

from django.db.models import Exists, OuterRef, QuerySet

from pki.models import Certificate, Device, Issuer
from pki.services.issuing.dependence import lost, with_those_below
from pki.services.revoking import revocation


def devices(now: datetime) -> QuerySet[Device]:
    """The active devices whose certificates that live are all of lost issuers, and that have one."""
    gone = lost()
    return _by(gone, gone, now) if gone else Device.objects.none()


def by_issuer(now: datetime) -> Iterator[Issuer]:
    """The compromised issuers that have shut out devices that were not enrolled again yet.

    Of several in a line the uppermost, where it is said what is to be done.
    """
    gone = lost()
    for issuer in Issuer.objects.filter(pk__in=gone).exclude(parent__in=gone).order_by("pk"):
        if _by(with_those_below(issuer), gone, now).exists():
            yield issuer


def _by(issuers: Collection[int], gone: Collection[int], now: datetime) -> QuerySet[Device]:
    """Those shut out that have a certificate of these issuers; `gone` are all that are lost."""
    living = Certificate.objects.filter(revocation.unrevoked(), not_after__gte=now)
    # By the index of the issuer: of who was never theirs nobody asks.
    theirs = living.filter(issuer__in=issuers, device__isnull=False)
    good = living.filter(device=OuterRef("pk")).exclude(issuer__in=gone)
    return Device.objects.filter(~Exists(good), pk__in=theirs.values("device"), state=Device.State.ACTIVE)
