"""Which issuers' certificates clients may show in a handshake: those of all but for servers alone."""

from collections.abc import Iterable
from typing import Any

from cryptography import x509
from django.db.models import Exists, OuterRef

from pki.core import certificates
from pki.core.profiles import ExtendedKeyUsage
from pki.models import Certificate, Issuer, Profile
from pki.services.issuing.dependence import closed_below

_ISSUED = Certificate.objects.filter(issuer=OuterRef("pk"))
_ROWS = (
    Issuer.objects.annotate(is_used=Exists(_ISSUED), has_devices=Exists(_ISSUED.filter(device__isnull=False)))
    .order_by("pk")
    .values_list(
        "pk", "parent", "predecessor", "state", "certificate_der", "is_used", "has_devices", named=True
    )
)


def client_issuers() -> list[x509.Certificate]:
    """The CAs that a client's certificate may lead to, in the order in which they were made; two queries.

    Not those that are compromised, nor what is below them. Not those that were used, and never for a client:
    no profile with clientAuth names them, no device has a certificate of them, and the same is true of all
    below them. A new one, by which nothing was issued, is taken at once: a device may show it in a moment.
    So is what succeeds one for clients, though it signed for our listeners first.
    """
    # Read first: an issuer that is made in between is missing among the profiles', never among the issuers.
    usages = list(Profile.objects.values_list("issuer", "extended_key_usages"))
    rows = list(_ROWS.all())
    compromised = [row.pk for row in rows if row.state == Issuer.State.COMPROMISED]
    barred = closed_below(compromised, ((row.pk, row.parent) for row in rows))
    wanted = _with_those_above(_for_clients(rows, usages), rows)
    return [certificates.parsed(bytes(row.certificate_der)) for row in rows if row.pk in wanted - barred]


def _for_clients(rows: Iterable[Any], usages: Iterable[tuple[int, list[str]]]) -> set[int]:
    by_profile = {issuer for issuer, allowed in usages if ExtendedKeyUsage.CLIENT_AUTH in allowed}
    in_use = {issuer for issuer, _ in usages} | {row.parent for row in rows}
    found = by_profile | {row.pk for row in rows if row.has_devices or not (row.is_used or row.pk in in_use)}
    for row in rows:  # a successor comes after the one that it succeeds
        if row.predecessor in found:
            found.add(row.pk)
    return found


def _with_those_above(chosen: Iterable[int], rows: Iterable[Any]) -> set[int]:
    parents = {row.pk: row.parent for row in rows}
    found: set[int] = set()
    for number in chosen:
        while number is not None and number not in found:
            found.add(number)
            number = parents[number]
    return found
