"""How the list of devices is narrowed: each filter is a look into an index, however many there are."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from pki.models import Device, DeviceGroup, Label, LastSeen
from pki.services.looking import shut_out

_LISTED = 50


class _ByName(admin.SimpleListFilter):
    """Things that have names: the first are listed, the others are found by typing."""

    template = "console/name_filter.html"
    things: type[Model]
    kept: list[tuple[str, str]]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = list(
            self.things._default_manager.order_by("name").values_list("name", flat=True)[: _LISTED + 1]
        )
        self.more = len(names) > _LISTED
        names = names[:_LISTED]
        chosen = self.value()
        if chosen and chosen not in names:
            names.append(chosen)
        return [(name, name) for name in names]

    def choices(self, changelist: Any) -> Any:
        # A form that is sent replaces the whole query: what else was chosen goes along.
        self.kept = [
            (name, value)
            for name, values in changelist.filter_params.items()
            for value in (values if isinstance(values, list) else [values])
            if name != self.parameter_name
        ]
        if changelist.query:
            self.kept.append(("q", changelist.query))
        return super().choices(changelist)


class GroupFilter(_ByName):
    title = "group"
    parameter_name = "group"
    things = DeviceGroup

    def queryset(self, request: HttpRequest, queryset: QuerySet[Device]) -> QuerySet[Device]:
        if not self.value():
            return queryset
        members = Device.groups.through.objects.filter(devicegroup__name=self.value())
        return queryset.filter(pk__in=members.values("device_id"))


class LabelFilter(_ByName):
    title = "label"
    parameter_name = "label"
    things = Label

    def queryset(self, request: HttpRequest, queryset: QuerySet[Device]) -> QuerySet[Device]:
        if not self.value():
            return queryset
        labelled = Device.labels.through.objects.filter(label__name=self.value())
        return queryset.filter(pk__in=labelled.values("device_id"))


class LastSeenFilter(admin.SimpleListFilter):
    title = "last seen"
    parameter_name = "seen"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("never", "never"),
            ("1", "not for a day"),
            ("7", "not for 7 days"),
            ("30", "not for 30 days"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Device]) -> QuerySet[Device]:
        match self.value():
            case "never":
                return queryset.filter(last_seen=None)
            case "1" | "7" | "30" as days:
                since = timezone.now() - timedelta(days=int(days))
                return queryset.filter(pk__in=LastSeen.objects.filter(at__lt=since).values("device_id"))
        return queryset


class RotatingFilter(admin.SimpleListFilter):
    title = "rotation"
    parameter_name = "rotating"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "under way")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Device]) -> QuerySet[Device]:
        return queryset.filter(rotation_requested_at__isnull=False) if self.value() == "yes" else queryset


class RefusedFilter(admin.SimpleListFilter):
    title = "refused"
    parameter_name = "refused"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("lost", "its CA is lost")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Device]) -> QuerySet[Device]:
        if self.value() != "lost":
            return queryset
        return queryset.filter(pk__in=shut_out.devices(timezone.now()).values("pk"))
