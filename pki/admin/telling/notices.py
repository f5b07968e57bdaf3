"""Notices in the console: what somebody should know, or should have."""

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from pki.admin.parts.objects import looked_at
from pki.admin.parts.pages import ReadOnlyAdmin
from pki.admin.parts.shown import when
from pki.admin.telling.words import ALL_KINDS, kind_in_words
from pki.models import Delivery, Notice
from pki.services.telling import moments


class KindFilter(admin.SimpleListFilter):
    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(ALL_KINDS.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Notice]) -> QuerySet[Notice]:
        return queryset.filter(kind=self.value()) if self.value() else queryset


@admin.register(Notice)
class NoticeAdmin(ReadOnlyAdmin):
    list_display = ("at_", "summary", "shown_kind")
    list_display_links = ("at_", "summary")
    list_filter = (KindFilter,)
    search_fields = ("kind__begins",)
    search_help_text = "The beginning of a kind: certificate, campaign.stopped"
    ordering = ("-at", "-pk")
    nothing_yet = (
        "Nothing to tell yet. Certificates that end soon and were not renewed, revocations, campaigns that "
        "stopped: they come here, by mail and to webhooks."
    )

    at_ = when("at", "when", ordering=False)

    @admin.display(description="kind")
    def shown_kind(self, notice: Notice) -> str:
        return kind_in_words(notice.kind)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Notice]:
        queryset: QuerySet[Notice] = super().get_queryset(request)
        return queryset.defer("detail")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        notice: Notice = looked_at(self, request, object_id)
        may_see_deliveries = request.user.has_perm("pki.view_delivery")
        context = {
            **self.admin_site.each_context(request),
            "title": kind_in_words(notice.kind),
            "opts": self.model._meta,
            "original": notice,
            "notice": notice,
            # Once, if it happened in one moment.
            "moments": list(dict.fromkeys(moments.span(notice))),
            "details": [
                (key.replace("_", " "), _lines(value))
                for key, value in notice.detail.items()
                if key not in (moments.FIRST, moments.LAST)
            ],
            "may_see_deliveries": may_see_deliveries,
            "deliveries": deliveries_of(notice) if may_see_deliveries else [],
        }
        return TemplateResponse(request, "console/notice.html", context)

    def history_of(self, row: Notice) -> dict[str, Any]:
        return {"kind": row.kind} if row.kind.startswith("certificate.revoked") else {}


def deliveries_of(notice: Notice) -> list[Delivery]:
    """A notice's deliveries: by mail, then to webhooks; each by the index that has it."""
    of_notice = Delivery.objects.filter(notice=notice).select_related("webhook")
    return [*of_notice.filter(webhook__isnull=True), *of_notice.filter(webhook__isnull=False).order_by("pk")]


def _lines(value: Any) -> list[str]:
    """A value of a notice's detail, a line for each of a list."""
    values = value if isinstance(value, list) else [value]
    return [
        ", ".join(map(_word, each.values())) if isinstance(each, dict) else _word(each) for each in values
    ]


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
