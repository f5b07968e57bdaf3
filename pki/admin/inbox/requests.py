"""The inbox: every enrollment that waits for approval and every one that was refused."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from pki.admin.inbox import advice, request_lists
from pki.admin.inbox.request_lists import CODE, CodeFilter, StateFilter
from pki.admin.inbox.request_page import asked_for, links, similar, waiver_in_words
from pki.admin.parts.asking import MessageForm, administrator, ask_first
from pki.admin.parts.objects import found, list_url, looked_at, page_url, url_name
from pki.admin.parts.pages import ReadOnlyAdmin
from pki.admin.parts.shown import counted, labelled, when
from pki.models import EnrollmentRequest
from pki.services.enrolling import approval, waivers

State = EnrollmentRequest.State


@admin.register(EnrollmentRequest)
class EnrollmentRequestAdmin(ReadOnlyAdmin):
    list_display = ("shown_name", "shown_state", "rule", "address", "count", "last", "to_do")
    list_filter = (StateFilter, CodeFilter)
    list_before_template = "console/parts/inbox.html"
    search_fields = ("name__begins",)
    search_help_text = "The beginning of a name, or a whole address"
    actions = ("approve_selected", "reject_selected")
    nothing_yet = ""  # the tabs say it

    last = when("last_at", "last time", ordering=False)

    # --- The list -------------------------------------------------------------------------------------

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return request_lists.ordering(request)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[EnrollmentRequest], search_term: str
    ) -> tuple[QuerySet[EnrollmentRequest], bool]:
        address = request_lists.searched_address(search_term)
        if address is not None:
            return queryset.filter(address=address), False
        return (queryset.filter(name__begins=search_term) if search_term else queryset), False

    def is_narrowed(self, changelist: ChangeList) -> bool:
        # A tab is no filter: it says itself what is to come there.
        return bool(changelist.query or CODE in changelist.get_filters_params())

    def history_of(self, row: EnrollmentRequest) -> dict[str, Any]:
        if row.device_id:
            return {"device__id__exact": row.device_id}
        return {"q": row.address} if row.address else {}

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        current = request_lists.chosen_state(request)
        tabs = [
            (state, f"?{request_lists.STATE}={state}", state == current)
            for state in (*request_lists.STATES, request_lists.ALL)
        ]
        response: HttpResponse = super().changelist_view(
            request, {**(extra_context or {}), "tabs": tabs, "tab": current}
        )
        return response

    @admin.display(description="name")
    def shown_name(self, request: EnrollmentRequest) -> str:
        return request.name or "unnamed"

    @labelled(
        description="state",
        label={"waiting": "warning", "issued": "success", "refused": "danger", "rejected": "danger"},
    )
    def shown_state(self, request: EnrollmentRequest) -> str:
        return request.state

    @admin.display(description="rule broken")
    def rule(self, request: EnrollmentRequest) -> SafeString | str:
        if not request.code:
            return "-"
        return format_html("<span><strong>{}</strong> {}</span>", request.code, advice.on(request.code).rule)

    @admin.display(description="what to do")
    def to_do(self, request: EnrollmentRequest) -> str:
        if request.state == State.WAITING:
            return "Approve it, or reject it with a message."
        if request.state == State.ISSUED:
            return "Allowed once." if request.waived else "Nothing: it has its certificate."
        return advice.on(request.code).to_do

    # --- The page of a request ------------------------------------------------------------------------

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        row: EnrollmentRequest = looked_at(self, request, object_id)
        may = self.has_decide_permission(request, row)
        return TemplateResponse(
            request,
            "console/request.html",
            {
                **self.admin_site.each_context(request),
                "title": f"Enrollment of {row.name or 'an unnamed device'}",
                "opts": self.model._meta,
                "found": row,
                "advice": advice.on(row.code),
                "asked": asked_for(row),
                "links": links(request.user, row),
                "similar": similar(row),
                "may_decide": may and row.state == State.WAITING,
                "may_allow": may and waivers.may_be_allowed(row),
            },
        )

    def get_urls(self) -> list[URLPattern]:
        views = {
            "approve": self.approve_view,
            "reject": self.reject_view,
            "allow_once": self.allow_once_view,
        }
        urls: list[URLPattern] = super().get_urls()
        own = [
            path(
                f"<path:object_id>/{verb.replace('_', '-')}/",
                self.admin_site.admin_view(view),
                name=url_name(self, verb),
            )
            for verb, view in views.items()
        ]
        return [*own, *urls]

    # --- Deciding -------------------------------------------------------------------------------------

    def has_decide_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        may = request.user.has_perm("pki.change_enrollmentrequest")
        return may and bool(self.has_view_permission(request, obj))

    def approve_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = found(self, request, object_id, may=self.has_decide_permission)
        return self._approve(request, [row], back=page_url(self, row))

    @admin.action(description="Approve", permissions=["decide"])
    def approve_selected(self, request: HttpRequest, queryset: QuerySet[EnrollmentRequest]) -> HttpResponse:
        return self._approve(request, self._chosen(request, queryset), back=list_url(self))

    def reject_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = found(self, request, object_id, may=self.has_decide_permission)
        return self._reject(request, [row], back=page_url(self, row))

    @admin.action(description="Reject", permissions=["decide"])
    def reject_selected(self, request: HttpRequest, queryset: QuerySet[EnrollmentRequest]) -> HttpResponse:
        return self._reject(request, self._chosen(request, queryset), back=list_url(self))

    def _chosen(
        self, request: HttpRequest, queryset: QuerySet[EnrollmentRequest]
    ) -> Sequence[EnrollmentRequest]:
        rows = list(queryset)
        if not all(self.has_decide_permission(request, row) for row in rows):
            raise PermissionDenied
        return rows

    def _approve(self, request: HttpRequest, rows: Sequence[EnrollmentRequest], back: str) -> HttpResponse:
        def act(_: dict[str, Any]) -> str:
            ids = [row.pk for row in rows]
            approved = approval.approve_all(ids, administrator(request), timezone.now())
            done = counted("Approved", approved, "request")
            return f"{done} A device gets its certificate when it asks again."

        return ask_first(
            self,
            request,
            title="Approve enrollments",
            question="Approve these, and sign a certificate for each?",
            items=rows,
            button="Approve",
            act=act,
            back=back,
        )

    def _reject(self, request: HttpRequest, rows: Sequence[EnrollmentRequest], back: str) -> HttpResponse:
        def act(cleaned: dict[str, Any]) -> str:
            ids, actor = [row.pk for row in rows], administrator(request)
            rejected = approval.reject_all(ids, cleaned["message"], actor, timezone.now())
            return counted("Rejected", rejected, "request")

        return ask_first(
            self,
            request,
            title="Reject enrollments",
            question="Reject these?",
            items=rows,
            button="Reject",
            act=act,
            form_class=MessageForm,
            back=back,
        )

    def allow_once_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = found(self, request, object_id, may=self.has_decide_permission)

        def act(_: dict[str, Any]) -> str:
            issued = waivers.allow_once(row.pk, administrator(request), timezone.now())
            return f"Allowed once. {issued.certificate.common_name} gets its certificate when it asks again."

        return ask_first(
            self,
            request,
            title="Allow once",
            question="Issue a certificate for this one CSR, although it was refused?",
            items=[row],
            button="Allow once",
            act=act,
            impact=lambda _: waiver_in_words(row),
            destructive=True,
            back=page_url(self, row),
        )
