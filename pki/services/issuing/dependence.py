"""What depends on an issuer, and so stands in the way of retiring it; and on which issuers one can depend."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from pki.models import Certificate, Device, Issuer, Profile
from pki.services.counting import Bounded, bounded
from pki.services.revoking import revocation


@dataclass(frozen=True)
class Dependents:
    """What depends on an issuer and on those below it. False if nothing does; `str()` says what, in words."""

    certificates: Bounded  # that have not ended, are not revoked, and hang on no compromised CA
    devices: Bounded  # not retired ones, whose next certificate it would sign
    profiles: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.certificates or self.devices or self.profiles)

    def __str__(self) -> str:
        counts = [
            _count(self.certificates, "certificate of it is good", "certificates of it are good"),
            _count(self.devices, "device would get its next one", "devices would get their next one"),
        ]
        if self.profiles:
            counts.append(f"profiles that use it: {', '.join(self.profiles)}")
        return "; ".join(count for count in counts if count) or "nothing depends on it"


def dependents(issuer: Issuer, now: datetime) -> Dependents:
    """What depends on an issuer, or on one below it, in a few bounded queries."""
    numbers = with_those_below(issuer)
    good = set(numbers) - lost()
    living = Certificate.objects.filter(revocation.unrevoked(), issuer__in=good, not_after__gte=now)
    active = Device.objects.exclude(state=Device.State.RETIRED)
    return Dependents(
        certificates=bounded(living),
        devices=bounded(active.filter(issuer__in=good), active.filter(issuer=None, profile__issuer__in=good)),
        profiles=tuple(
            Profile.objects.filter(issuer__in=numbers).order_by("name").values_list("name", flat=True)
        ),
    )


def with_those_below(issuer: Issuer) -> list[int]:
    """The numbers of an issuer and of all CAs below it."""
    return sorted(closed_below([issuer.pk], Issuer.objects.order_by("pk").values_list("pk", "parent")))


def closed_below(chosen: Iterable[int], parents: Iterable[tuple[int, int | None]]) -> set[int]:
    """The numbers of these issuers and of all CAs below them; `parents` are all issuers with who signed each,
    in the order of their numbers.
    """
    found = set(chosen)
    for number, parent in parents:  # whoever was signed was made after who signed it
        if parent in found:
            found.add(number)
    return found


def lost() -> set[int]:
    """The numbers of the CAs that are compromised, or below one that is: what they signed is refused."""
    rows = list(Issuer.objects.order_by("pk").values_list("pk", "parent", "state"))
    compromised = [number for number, _, state in rows if state == Issuer.State.COMPROMISED]
    return closed_below(compromised, ((number, parent) for number, parent, _ in rows))


def able_to_sign(now: datetime) -> QuerySet[Issuer]:
    """The issuers that can sign what is not refused (`Issuer.can_sign`)."""
    return Issuer.objects.filter(state=Issuer.State.ACTIVE, not_after__gt=now).exclude(pk__in=lost())


def why_barred(issuer: Issuer) -> str:
    """Why an issuer may not sign, as what it is: "retired"; empty if it may, unless it has ended."""
    if issuer.state != Issuer.State.ACTIVE:
        return issuer.state
    return f"below the compromised {issuer.lost_with}" if issuer.lost_with is not None else ""


def why_unable(issuer: Issuer, now: datetime) -> str:
    """Why an issuer cannot sign, in such words; empty if it can."""
    return why_barred(issuer) or ("expired" if now >= issuer.not_after else "")


def _count(number: Bounded, one: str, several: str) -> str:
    return f"{number} {one if number.number == 1 else several}" if number else ""
