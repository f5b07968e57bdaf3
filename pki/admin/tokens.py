from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from pki.admin.asking import administrator, ask_first
from pki.admin.pages import ReadOnlyAdmin
from pki.admin.shown import labelled
from pki.models import EnrollmentToken
from pki.services import tokens


class LifeFilter(admin.SimpleListFilter):
    title = "life"
    parameter_name = "life"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("usable", "usable"), ("over", "over")]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[EnrollmentToken]
    ) -> QuerySet[EnrollmentToken]:
        usable = queryset.filter(cancelled_at=None, expires_at__gt=timezone.now(), uses__lt=F("uses_allowed"))
        match self.value():
            case "usable":
                return usable
            case "over":
                return queryset.exclude(pk__in=usable.values("pk"))
        return queryset


@admin.register(EnrollmentToken)
class EnrollmentTokenAdmin(ReadOnlyAdmin):
    list_display = ("whom", "life", "uses", "uses_allowed", "expires_at", "created_by")
    list_filter = (LifeFilter, "profile")
    list_select_related = ("device",)
    search_fields = ("device__name__startswith", "name_pattern__startswith")
    ordering = ("-pk",)
    actions = ("cancel_selected",)
    fields = (
        "device",
        "name_pattern",
        "profile",
        "life",
        "uses",
        "uses_allowed",
        "expires_at",
        "cancelled_at",
        "created_at",
        "created_by",
    )
    readonly_fields = ("life",)

    @admin.display(description="for")
    def whom(self, token: EnrollmentToken) -> str:
        return token.device.name if token.device else f"new devices: {token.name_pattern}"

    @labelled(
        description="life",
        label={"usable": "success", "used up": "info", "expired": "info", "cancelled": "danger"},
    )
    def life(self, token: EnrollmentToken) -> str:
        if token.cancelled_at is not None:
            return "cancelled"
        if token.expires_at <= timezone.now():
            return "expired"
        return "usable" if token.uses < token.uses_allowed else "used up"

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("pki.change_enrollmenttoken")

    @admin.action(description="Cancel", permissions=["cancel"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[EnrollmentToken]) -> HttpResponse:
        def act(_: dict[str, Any]) -> str:
            for token in queryset.select_related("device"):
                tokens.cancel(token, administrator(request), timezone.now())
            return "Cancelled."

        return ask_first(
            self,
            request,
            title="Cancel tokens",
            question="Cancel these tokens? Certificates that were got with them stay good.",
            items=queryset,
            button="Cancel the tokens",
            act=act,
        )
