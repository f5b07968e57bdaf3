"""What stops working when certificates are revoked: read in a few queries, however many they are."""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, OuterRef, QuerySet

from pki.models import Certificate, Device, Issuer, LastSeen, Revocation
from pki.services.counting import Bounded, bounded
from pki.services.issuing import listener_certificates
from pki.services.issuing.dependence import lost, with_those_below
from pki.services.revoking import revocation
from pki.services.revoking.revocation import HOLD

# Devices that are named, those that were seen last.
NAMED = 5
_BATCH = 5_000  # numbers of one query


@dataclass(frozen=True)
class Impact:
    """What a revocation of certificates would do."""

    certificates: int  # that are not revoked for good
    revoked: int  # already, for good
    held: int
    expired: int
    listeners: tuple[str, ...]  # our own, whose certificates are among them
    devices: int
    seen: tuple[tuple[str, datetime], ...]  # the NAMED devices that were seen last, the latest first
    keep_another_key: int  # devices that have another certificate that stands, for another key
    keep_the_same_key: int  # devices that have another one for the same key


def of_revoking(certificates: Sequence[Certificate], now: datetime) -> Impact:
    """What revoking these would do."""
    earlier = _earlier(certificates)
    open_still = [each for each in certificates if earlier.get(each.pk, HOLD) == HOLD]
    keys: dict[int, set[str]] = {}  # that lose a certificate, by device
    for each in open_still:
        if each.device_id is not None:
            keys.setdefault(each.device_id, set()).add(each.spki_sha256)
    another, same = _kept(keys, {each.pk for each in open_still}, now)
    return Impact(
        certificates=len(open_still),
        revoked=len(certificates) - len(open_still),
        held=sum(each.pk in earlier for each in open_still),
        expired=sum(each.not_after < now for each in open_still),
        listeners=tuple(sorted({each.listener for each in open_still if each.listener})),
        devices=len(keys),
        seen=_seen(list(keys)),
        keep_another_key=len(another),
        keep_the_same_key=len(same),
    )


@dataclass(frozen=True)
class Stopped:
    """What a compromise of an issuer, and so of those below it, would stop."""

    devices: Bounded  # all of whose certificates that stand are of these issuers
    unsure: Bounded  # that were given another one, which they did not show last: they may have it still
    keep_another: Bounded  # that showed last another one that stands, of other issuers
    listeners: tuple[str, ...]  # our own on this node that show a certificate of these


def of_compromise(issuer: Issuer, now: datetime) -> Stopped:
    """What declaring an issuer compromised would stop, in a few bounded queries.

    What a device was given says nothing of what it uses: after a campaign was rolled back its devices have
    good certificates of the issuer that they left. What it showed last does.
    """
    numbers, already = set(with_those_below(issuer)), lost()
    standing = Certificate.objects.filter(revocation.unrevoked(), not_after__gte=now).exclude(
        issuer__in=already
    )
    of_device = standing.filter(device=OuterRef("pk"))
    # By the index of the issuer, not device by device: of an issuer that has none it is known at once.
    theirs = standing.filter(issuer__in=numbers, device__isnull=False)
    holders = Device.objects.exclude(state=Device.State.RETIRED).filter(pk__in=theirs.values("device"))
    has_another = Exists(of_device.exclude(issuer__in=numbers))
    shows_another = Exists(_last_shown(now).exclude(certificate__issuer__in=numbers | already))
    return Stopped(
        devices=bounded(holders.filter(~has_another)),
        unsure=bounded(holders.filter(has_another, ~shows_another)),
        keep_another=bounded(holders.filter(shows_another)),
        listeners=_listeners(numbers - already, now),
    )


def _listeners(issuers: Container[int], now: datetime) -> tuple[str, ...]:
    """Our own listeners on this node that show a certificate of these issuers."""
    shown = listener_certificates.shown(listener_certificates.known(now), now)
    return tuple(sorted(name for name, each in shown.items() if each.issuer_id in issuers))


def _last_shown(now: datetime) -> QuerySet[LastSeen]:
    """When a device was last seen, if what it showed then stands."""
    revoked = Revocation.objects.filter(certificate=OuterRef("certificate"))
    return LastSeen.objects.filter(~Exists(revoked), device=OuterRef("pk"), certificate__not_after__gte=now)


def _earlier(certificates: Sequence[Certificate]) -> dict[int, str]:
    """Why certificates are revoked already, by their numbers."""
    reasons: dict[int, str] = {}
    for start in range(0, len(certificates), _BATCH):
        numbers = [each.pk for each in certificates[start : start + _BATCH]]
        revoked = Revocation.objects.filter(certificate__in=numbers)
        reasons.update(revoked.values_list("certificate", "reason"))
    return reasons


def _seen(devices: Sequence[int]) -> tuple[tuple[str, datetime], ...]:
    latest: list[tuple[str, datetime]] = []
    for start in range(0, len(devices), _BATCH):
        seen = LastSeen.objects.filter(device__in=devices[start : start + _BATCH]).order_by("-at")
        latest += seen.values_list("device__name", "at")[:NAMED]
    return tuple(sorted(latest, key=lambda each: each[1], reverse=True)[:NAMED])


def _kept(keys: dict[int, set[str]], lost: set[int], now: datetime) -> tuple[set[int], set[int]]:
    """The devices that keep a certificate that stands: for another key, and for the same."""
    another: set[int] = set()
    same: set[int] = set()
    devices = list(keys)
    for start in range(0, len(devices), _BATCH):
        standing = Certificate.objects.filter(
            device__in=devices[start : start + _BATCH], revocation=None, not_after__gte=now
        )
        for number, device, spki in standing.values_list("pk", "device", "spki_sha256"):
            if number not in lost and device is not None:
                (same if spki in keys[device] else another).add(device)
    return another, same
