"""Finding certificates by whatever somebody writes: indexed looks, each bounded, never a scan."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from django.db.models import Q

from pki.core import identifiers
from pki.core.identifiers import Sought
from pki.models import Certificate, SubjectAltName

# Of each way to read the text. Who finds more writes more.
MOST_OF_A_KIND = 200


@dataclass(frozen=True)
class Found:
    """What a search found."""

    keys: frozenset[int]  # primary keys of certificates
    exact: int | None  # the one that a whole serial or fingerprint names, if it is the only one found

    @classmethod
    def of(cls, keys: Iterable[int], exact: Iterable[int]) -> "Found":
        keys, exact = frozenset(keys), list(exact)
        return cls(keys, exact[0] if len(exact) == 1 and keys == {exact[0]} else None)


def find(text: str) -> Found:
    """Certificates by serial, SHA-256 fingerprint, SPKI pin, common name or SAN, or their beginnings."""
    sought = identifiers.read(text)
    exactly = _exact(sought)
    return Found.of(chain(exactly, _by_beginning(sought)), exactly)


def exact(text: str) -> int | None:
    """The primary key of the one certificate that `text`, a whole serial or fingerprint, finds."""
    sought = identifiers.read(text)
    return find(text).exact if _exact(sought) else None


def _exact(sought: Sought) -> set[int]:
    return _keys(Q(serial__in=sought.serials)) | _keys(Q(fingerprint__in=sought.digests))


def _by_beginning(sought: Sought) -> set[int]:
    looks = [Q(spki_sha256__in=sought.digests)]
    looks += [Q(common_name__begins=name) for name in sought.name_beginnings]
    if sought.serial_beginning:
        looks.append(Q(serial__begins=sought.serial_beginning))
    if sought.digest_beginning:
        looks.append(Q(fingerprint__begins=sought.digest_beginning))
        looks.append(Q(spki_sha256__begins=sought.digest_beginning))
    found = set(chain.from_iterable(map(_keys, looks)))
    if sought.san_beginning:
        sans = SubjectAltName.objects.filter(value__begins=sought.san_beginning)
        found.update(sans.values_list("certificate_id", flat=True)[:MOST_OF_A_KIND])
    return found


def _keys(look: Q) -> set[int]:
    return set(Certificate.objects.filter(look).values_list("pk", flat=True)[:MOST_OF_A_KIND])
