"""How the console shows things: moments, words in colour, counts."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from django.contrib import admin
from django.template.defaultfilters import pluralize
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from unfold.decorators import display

from pki.templatetags.console import moment

View = TypeVar("View", bound=Callable[..., Any])


def labelled(description: str, label: dict[str, str], ordering: str | None = None) -> Callable[[View], View]:
    """A column whose words are coloured: unfold's `display`, with a type."""
    decorate: Callable[[View], View] = display(description=description, label=label, ordering=ordering)
    return decorate


def when(field: str, description: str, *, ordering: bool = True) -> Callable[[Any, Any], SafeString | str]:
    """A column of a list, or a field of a page, that shows a moment; sortable where there is an index."""

    @admin.display(description=description, ordering=field if ordering else None)
    def column(self: Any, row: Any) -> SafeString | str:
        return moment(getattr(row, field))

    return column


def counted(verb: str, number: int, noun: str) -> str:
    """`Revoked 2 certificates.`"""
    return f"{verb} {number:,} {noun}{pluralize(number)}."


def ago(at: datetime, now: datetime) -> str:
    """`3 hours ago`"""
    return f"{timesince(at, now, depth=1)} ago".replace("\xa0", " ")
