"""What still goes by issuers that are lost: compromised, or below one that is, and refused with it."""

from dataclasses import dataclass
from datetime import datetime

from pki.models import Issuer, Profile
from pki.services.issuing import listener_certificates
from pki.services.issuing.dependence import lost


@dataclass(frozen=True)
class Loss:
    """An issuer that is lost, by itself or by one above it, and what can take its place."""

    issuer: Issuer
    by: Issuer  # the compromised one; of several in a line the uppermost
    next: Issuer | None  # that was made to replace the issuer, and can
    next_of_by: Issuer | None


def of(issuer: Issuer, now: datetime) -> Loss | None:
    """Whether an issuer is lost; none if it is not."""
    by = None
    above: Issuer | None = issuer
    while above is not None:
        by = above if above.state == Issuer.State.COMPROMISED else by
        above = above.parent
    return Loss(issuer, by, replacement(issuer, now), replacement(by, now)) if by is not None else None


def replacement(issuer: Issuer, now: datetime) -> Issuer | None:
    """Who was made to replace an issuer, or who replaced that one, and can sign; none if nobody."""
    line = list(issuer.successors.order_by("-pk"))
    for each in line:
        if each.can_sign(now):
            return each
        line += each.successors.order_by("-pk")
    return None


def profiles(now: datetime) -> list[tuple[Profile, Loss]]:
    """The profiles that sign with a lost issuer."""
    named = Profile.objects.filter(issuer__in=lost()).select_related("issuer__parent").order_by("name")
    return [(profile, found) for profile in named if (found := of(profile.issuer, now)) is not None]


def listeners(now: datetime) -> list[str]:
    """Our own listeners on this node that show a certificate of a lost issuer."""
    if not (gone := lost()):
        return []
    shown = listener_certificates.shown(listener_certificates.known(now), now)
    return sorted(name for name, certificate in shown.items() if certificate.issuer_id in gone)
