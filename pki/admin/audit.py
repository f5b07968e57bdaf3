import ipaddress
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.dateparse import parse_date

from pki.admin.parts import searching, sentences
from pki.admin.parts.objects import looked_at
from pki.admin.parts.pages import ReadOnlyAdmin
from pki.admin.parts.shown import when
from pki.core import identifiers
from pki.models import AuditEvent, Certificate
from pki.services.auditing import kinds


class KindFilter(admin.SimpleListFilter):
    """By kind, from a list that is written down: asking the table for its kinds would read all of it."""

    title = "what happened"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind, words) for group in kinds.GROUPS.values() for kind, words in group.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEvent]) -> QuerySet[AuditEvent]:
        return queryset.filter(kind=self.value()) if self.value() else queryset


class AboutFilter(admin.SimpleListFilter):
    """Of one thing that the trail has no column for: `webhook-3`, whose events have its number. Only links
    ask for it.
    """

    title = "about"
    parameter_name = "about"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        asked = self.value()
        return [(asked, asked.replace("-", " "))] if asked else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEvent]) -> QuerySet[AuditEvent]:
        if not (asked := self.value()):
            return queryset
        word, _, number = asked.partition("-")
        if not re.fullmatch("[0-9]{1,18}", number):
            return queryset.none()
        # One kind after the other, each by its index: they are rare, and the trail is long.
        of_it = [kind for group in kinds.GROUPS.values() for kind in group if kind.startswith(f"{word}.")]
        meanings = [Q(kind=kind, detail__number=int(number)) for kind in of_it]
        return searching.any_of(queryset, meanings, ("-at", "-pk"))


class DayFilter(admin.ListFilter):
    """From a day to a day (UTC), both included."""

    title = "day"
    template = "console/filter_days.html"
    parameters = ("from", "to")

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        for name in self.parameters:
            if name in params:
                self.used_parameters[name] = params.pop(name)[-1]

    def has_output(self) -> bool:
        return True

    def expected_parameters(self) -> list[str | None]:
        return list(self.parameters)

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        yield {
            **{f"{name}_day": self.used_parameters.get(name, "") for name in self.parameters},
            "others": changelist.get_filters_params() | {"q": [changelist.query]}
            if changelist.query
            else changelist.get_filters_params(),
            "mine": self.parameters,
            "query_string": changelist.get_query_string(remove=list(self.parameters)),
            "selected": bool(self.used_parameters),
        }

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEvent]) -> QuerySet[AuditEvent]:
        first, last = (_day(str(self.used_parameters.get(name, ""))) for name in self.parameters)
        if first is not None:
            queryset = queryset.filter(at__gte=_midnight(first))
        if last is not None and last < date.max:
            queryset = queryset.filter(at__lt=_midnight(last + timedelta(days=1)))
        return queryset


def _day(text: str) -> date | None:
    try:
        return parse_date(text)
    except ValueError:  # the 31st of February
        return None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    list_display = ("at_", "what", "actor", "address", "device", "summary")
    list_display_links = ("at_", "what")
    list_filter = (DayFilter, KindFilter, AboutFilter)
    list_select_related = ("device",)
    search_fields = ("actor",)  # shows the box; get_search_results searches
    search_help_text = "An actor, a device, an address or a serial"
    ordering = ("-at", "-pk")
    linked_by = ("device__id__exact", "certificate__id__exact")
    nothing_yet = "Nothing has happened yet. Whatever is done here, or refused, is written down by itself."

    at_ = when("at", "when", ordering=False)

    @admin.display(description="what")
    def what(self, event: AuditEvent) -> str:
        words = kinds.in_words(event.kind)
        return f"{words} ({event.count} times)" if event.count > 1 else words

    @admin.display(description="in words")
    def summary(self, event: AuditEvent) -> str:
        return sentences.told(event)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEvent], search_term: str
    ) -> tuple[QuerySet[AuditEvent], bool]:
        words = search_term.strip()
        return (searching.any_of(queryset, _meanings(words), self.ordering) if words else queryset), False

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        event: AuditEvent = looked_at(self, request, object_id)
        return TemplateResponse(
            request,
            "console/event.html",
            {
                **self.admin_site.each_context(request),
                "title": kinds.in_words(event.kind).capitalize(),
                "event": event,
                "sentence": sentences.told(event),
                "details": [(key.replace("_", " "), value) for key, value in sorted(event.detail.items())],
                "opts": self.model._meta,
                "original": event,
            },
        )


def _meanings(words: str) -> Iterator[Q]:
    """What the words of a search may mean, each to be found by an index."""
    try:
        yield Q(address=str(ipaddress.ip_address(words)))
        return
    except ValueError:
        pass
    if devices := searching.devices_named(words):
        yield Q(device__in=devices)
    if serials := identifiers.serials(words):
        certificates = Certificate.objects.filter(serial__in=serials).values_list("pk", flat=True)
        if found := list(certificates[: searching.MOST_ALIKE]):
            yield Q(certificate__in=found)
    for actor in searching.actors_named(words):
        yield Q(actor=actor)
