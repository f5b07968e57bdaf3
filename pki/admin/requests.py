from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from pki.admin.asking import MessageForm, administrator, ask_first
from pki.admin.pages import ReadOnlyAdmin
from pki.admin.shown import counted, labelled
from pki.models import EnrollmentRequest
from pki.services import approval


@admin.register(EnrollmentRequest)
class EnrollmentRequestAdmin(ReadOnlyAdmin):
    list_display = ("shown_name", "shown_state", "code", "address", "count", "last_at")
    list_filter = ("state", "code", "profile")
    search_fields = ("name__startswith", "address__startswith")
    ordering = ("-last_at",)
    actions = ("approve_selected", "reject_selected")
    fields = (
        "name",
        "shown_state",
        "code",
        "reason",
        "ignored",
        "device",
        "profile",
        "token",
        "certificate",
        "spki_sha256",
        "address",
        "count",
        "created_at",
        "last_at",
        "decided_by",
    )
    readonly_fields = ("shown_state",)

    @admin.display(description="name", ordering="name")
    def shown_name(self, request: EnrollmentRequest) -> str:
        return request.name or "unnamed"

    @labelled(
        description="state",
        label={"waiting": "warning", "issued": "success", "refused": "danger", "rejected": "danger"},
    )
    def shown_state(self, request: EnrollmentRequest) -> str:
        return request.state

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("pki.change_enrollmentrequest")

    @admin.action(description="Approve", permissions=["decide"])
    def approve_selected(self, request: HttpRequest, queryset: QuerySet[EnrollmentRequest]) -> HttpResponse:
        def act(_: dict[str, Any]) -> str:
            ids = queryset.values_list("pk", flat=True)
            approved = approval.approve_all(ids, administrator(request), timezone.now())
            done = counted("Approved", approved, "request")
            return f"{done} A device gets its certificate when it asks again."

        return ask_first(
            self,
            request,
            title="Approve enrollments",
            question="Approve these, and sign a certificate for each?",
            items=queryset,
            button="Approve",
            act=act,
        )

    @admin.action(description="Reject", permissions=["decide"])
    def reject_selected(self, request: HttpRequest, queryset: QuerySet[EnrollmentRequest]) -> HttpResponse:
        def act(cleaned: dict[str, Any]) -> str:
            ids = queryset.values_list("pk", flat=True)
            message, actor = cleaned["message"], administrator(request)
            return counted("Rejected", approval.reject_all(ids, message, actor, timezone.now()), "request")

        return ask_first(
            self,
            request,
            title="Reject enrollments",
            question="Reject these?",
            items=queryset,
            button="Reject",
            act=act,
            form_class=MessageForm,
        )
