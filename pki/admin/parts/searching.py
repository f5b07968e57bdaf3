"""Finding rows by one of several things, each by its index.

A database that is asked for `this OR that of another table` reads the whole table. So what the words may
mean is looked up first, and each meaning is asked for by itself.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

from django.contrib.auth.models import User
from django.db.models import Model, Q, QuerySet

from pki.models import AuditEvent, Device

Row = TypeVar("Row", bound=Model)

# Where words mean several things, so many of the newest rows of each are found.
NEWEST = 500
# So many devices, or people, whose names begin alike are looked for.
MOST_ALIKE = 20


def any_of(rows: QuerySet[Row], meanings: Iterable[Q], order: tuple[str, ...]) -> QuerySet[Row]:
    """The rows that are meant: all of them if there is one meaning, else the NEWEST of each."""
    meanings = list(meanings)
    if not meanings:
        return rows.none()
    if len(meanings) == 1:
        return rows.filter(meanings[0])
    found: set[Any] = set()
    for meaning in meanings:
        found.update(rows.filter(meaning).order_by(*order).values_list("pk", flat=True)[:NEWEST])
    return rows.filter(pk__in=found)


def devices_named(beginning: str) -> list[int]:
    """The numbers of the first MOST_ALIKE devices whose names begin so."""
    alike = Device.objects.filter(name__begins=beginning).order_by("name")
    return list(alike.values_list("pk", flat=True)[:MOST_ALIKE])


def actors_named(words: str) -> list[str]:
    """Actors of the audit trail: one that is called so, and administrators whose names begin so."""
    people = User.objects.filter(username__startswith=words.removeprefix("administrator:"))
    names = people.order_by("username").values_list("username", flat=True)[:MOST_ALIKE]
    meant = dict.fromkeys([words, f"shell:{words}", *(f"administrator:{name}" for name in names)])
    return [actor for actor in meant if AuditEvent.objects.filter(actor=actor).exists()]
