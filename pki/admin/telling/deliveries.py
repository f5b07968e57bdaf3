"""The delivery log: each notice on its way to each who is to be told."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone

from pki.admin.parts.asking import administrator, ask_first
from pki.admin.parts.objects import found, list_url, looked_at, page_url, url_name
from pki.admin.parts.pages import ReadOnlyAdmin
from pki.admin.parts.shown import labelled, when
from pki.core.errors import Refusal
from pki.models import Delivery
from pki.services.telling import deliveries
from pki.templatetags.console import NOTHING

# Each may take ten seconds, while the browser waits.
MOST_AT_ONCE = 5
_STATE = Delivery.State


class ByFilter(admin.SimpleListFilter):
    """By mail, or to webhooks."""

    title = "by"
    parameter_name = "by"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("mail", "mail")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> QuerySet[Delivery]:
        return queryset.filter(webhook__isnull=True) if self.value() == "mail" else queryset


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = (
        "made",
        "shown_notice",
        "to",
        "shown_state",
        "attempts",
        "shown_status",
        "shown_error",
        "again",
    )
    list_display_links = ("made", "shown_notice")
    list_filter = ("state", ByFilter)
    list_select_related = ("notice", "webhook")
    linked_by = ("webhook__id__exact",)
    search_fields = ("webhook__name__begins",)
    search_help_text = "The beginning of a webhook's name"
    ordering = ("-pk",)
    actions = ("try_again_selected",)
    nothing_yet = (
        "Nothing was sent yet. Notices go to webhooks, and by mail if EMAIL_URL and PORTAL_NOTICE_MAIL are "
        "set: docs/notices.md."
    )

    made = when("created_at", "when", ordering=False)
    again = when("next_at", "next try", ordering=False)

    @admin.display(description="notice")
    def shown_notice(self, delivery: Delivery) -> str:
        return str(delivery.notice)

    @admin.display(description="to")
    def to(self, delivery: Delivery) -> str:
        return receiver(delivery)

    @labelled(description="state", label={"pending": "warning", "delivered": "success", "given up": "danger"})
    def shown_state(self, delivery: Delivery) -> str:
        return delivery.state

    @admin.display(description="status")
    def shown_status(self, delivery: Delivery) -> str:
        return str(delivery.status or NOTHING)

    @admin.display(description="error")
    def shown_error(self, delivery: Delivery) -> str:
        return delivery.error or NOTHING

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        queryset: QuerySet[Delivery] = super().get_queryset(request)
        return queryset.defer("notice__detail")

    def has_retry_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("pki.change_delivery") and self.has_view_permission(request, obj)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.try_again_view)
        urls: list[URLPattern] = super().get_urls()
        return [path("<path:object_id>/try-again/", view, name=url_name(self, "try_again")), *urls]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        delivery: Delivery = looked_at(self, request, object_id)
        may_retry = delivery.state != _STATE.DELIVERED and self.has_retry_permission(request, delivery)
        context = {
            **self.admin_site.each_context(request),
            "title": f"To {receiver(delivery)}",
            "opts": self.model._meta,
            "original": delivery,
            "delivery": delivery,
            "receiver": receiver(delivery),
            "try_again": page_url(self, delivery, "try_again") if may_retry else "",
            "may_see_notices": request.user.has_perm("pki.view_notice"),
            "may_see_webhooks": request.user.has_perm("pki.view_webhook"),
        }
        return TemplateResponse(request, "console/delivery.html", context)

    @admin.action(description="Try again", permissions=["retry"])
    def try_again_selected(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> HttpResponse:
        return self._ask(request, queryset, back=list_url(self))

    def try_again_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        delivery: Delivery = found(self, request, object_id, may=self.has_retry_permission)
        chosen = Delivery.objects.filter(pk=delivery.pk)
        return self._ask(request, chosen, back=page_url(self, delivery))

    def _ask(self, request: HttpRequest, chosen: QuerySet[Delivery], back: str) -> HttpResponse:
        chosen = chosen.select_related("notice", "webhook")
        if len(chosen[: MOST_AT_ONCE + 1]) > MOST_AT_ONCE:
            messages.error(request, f"Choose at most {MOST_AT_ONCE} at once: each may take ten seconds.")
            return HttpResponseRedirect(back)

        def act(_: dict[str, Any]) -> str:
            actor = administrator(request)
            return " ".join(_tried(delivery, actor) for delivery in chosen)

        return ask_first(
            self,
            request,
            title="Try again",
            question="Send it now, once more? Who has it already knows it again by its webhook-id.",
            items=chosen,
            button="Try again",
            act=act,
            back=back,
        )

    def history_of(self, row: Delivery) -> dict[str, Any]:
        return {"kind": "delivery.tried_again"}


def receiver(delivery: Delivery) -> str:
    """Who is told by it."""
    return str(delivery.webhook) if delivery.webhook else "mail"


def _tried(delivery: Delivery, actor: Any) -> str:
    try:
        tried = deliveries.try_again(delivery, actor, timezone.now())
    except Refusal as refusal:
        return f"To {receiver(delivery)}: {refusal.detail}"
    if tried.state == _STATE.DELIVERED:
        return f"To {receiver(tried)}: it arrived."
    return f"To {receiver(tried)}: it did not arrive. {tried.error}"
