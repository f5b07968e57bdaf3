"""The certificates that devices showed, with what tells whether a rotation is done."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from django.db.models import Exists, Min, OuterRef, QuerySet

from pki.models import Certificate, LastSeen
from pki.services.revoking import revocation


class Showing(Protocol):
    """That a device showed a certificate: a sighting, or a row of LastSeen."""

    @property
    def device_id(self) -> int: ...
    @property
    def certificate_id(self) -> int: ...
    @property
    def at(self) -> datetime: ...


@dataclass(frozen=True)
class Shown:
    """A certificate that a device showed."""

    pk: int
    issuer_id: int
    spki_sha256: str
    key_since: datetime  # when the first certificate for its key was issued
    at: datetime  # when it was shown


def by_device(showings: Iterable[Showing]) -> dict[int, list[Shown]]:
    """What devices showed, by their numbers, with two queries, however many they are."""
    known = list(showings)
    rows = Certificate.objects.filter(pk__in={each.certificate_id for each in known})
    certificates = {row.pk: row for row in rows.values_list("pk", "issuer_id", "spki_sha256", named=True)}
    keys = {row.spki_sha256 for row in certificates.values()}
    earliest = Certificate.objects.filter(spki_sha256__in=keys).order_by().values_list("spki_sha256")
    since = dict(earliest.annotate(Min("issued_at")))
    shown: dict[int, list[Shown]] = {}
    for each in known:
        row = certificates[each.certificate_id]
        look = Shown(row.pk, row.issuer_id, row.spki_sha256, since[row.spki_sha256], each.at)
        shown.setdefault(each.device_id, []).append(look)
    return shown


def last_by(devices: Iterable[int], now: datetime) -> QuerySet[LastSeen]:
    """What devices (their numbers) showed last, if it is good still, and another issuer has given them
    nothing since.
    """
    good = Certificate.objects.filter(revocation.unrevoked(), pk=OuterRef("certificate"), not_after__gte=now)
    later = Certificate.objects.filter(device=OuterRef("device"), issued_at__gt=OuterRef("at"))
    others = later.exclude(issuer=OuterRef("certificate__issuer"))
    return LastSeen.objects.filter(Exists(good), ~Exists(others), device__in=list(devices))
