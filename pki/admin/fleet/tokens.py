from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.db.models import F, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from pki.admin.parts import searching
from pki.admin.parts.asking import administrator, ask_first
from pki.admin.parts.objects import looked_at
from pki.admin.parts.pages import ReadOnlyAdmin, on_page
from pki.admin.parts.shown import counted, labelled, when
from pki.models import EnrollmentToken
from pki.services.enrolling import tokens

USABLE, USED_UP, EXPIRED, CANCELLED = "usable", "used up", "expired", "cancelled"

# How each life is listed: in the order of the index that finds it.
_ORDERS = {
    USABLE: ("-expires_at", "-pk"),
    USED_UP: ("-pk",),
    EXPIRED: ("-expires_at", "-pk"),
    CANCELLED: ("-cancelled_at", "-pk"),
}
_ENROLLED_SHOWN = 20
_NEWEST_FIRST = ("-pk",)


def life_of(token: EnrollmentToken) -> str:
    """Whether a token can be used, or why not."""
    if token.cancelled_at is not None:
        return CANCELLED
    if token.uses >= token.uses_allowed:
        return USED_UP
    return USABLE if token.expires_at > timezone.now() else EXPIRED


class LifeFilter(admin.SimpleListFilter):
    title = "life"
    parameter_name = "life"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(life, life) for life in _ORDERS]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[EnrollmentToken]
    ) -> QuerySet[EnrollmentToken]:
        now = timezone.now()
        standing = queryset.filter(cancelled_at=None)
        match self.value():
            case "usable":
                return standing.filter(uses__lt=F("uses_allowed"), expires_at__gt=now)
            case "expired":
                return standing.filter(uses__lt=F("uses_allowed"), expires_at__lte=now)
            case "used up":
                return standing.filter(uses__gte=F("uses_allowed"))
            case "cancelled":
                return queryset.filter(cancelled_at__isnull=False)
        return queryset


@admin.register(EnrollmentToken)
class EnrollmentTokenAdmin(ReadOnlyAdmin):
    list_display = ("whom", "life", "used", "expires", "made", "created_by")
    list_filter = (LifeFilter, "profile")
    list_select_related = ("device",)
    search_fields = ("name_pattern",)  # shows the box; get_search_results searches
    search_help_text = "The beginning of a device's name or of a pattern"
    actions = ("cancel_selected",)
    nothing_yet = (
        "No token yet. Make one on the page of a device; one for new devices is made in the shell: "
        "manage.py issue_token --pattern 'door-*'"
    )
    actions_detail = ("cancel_this",)

    expires = when("expires_at", "expires", ordering=False)
    made = when("created_at", "made", ordering=False)

    @admin.display(description="for")
    def whom(self, token: EnrollmentToken) -> str:
        return token.device.name if token.device else f"new devices: {token.name_pattern}"

    @labelled(
        description="life",
        label={USABLE: "success", USED_UP: "info", EXPIRED: "info", CANCELLED: "danger"},
    )
    def life(self, token: EnrollmentToken) -> str:
        return life_of(token)

    @admin.display(description="used")
    def used(self, token: EnrollmentToken) -> str:
        return f"{token.uses:,} of {token.uses_allowed:,}"

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return _ORDERS.get(request.GET.get(LifeFilter.parameter_name, ""), _NEWEST_FIRST)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[EnrollmentToken], search_term: str
    ) -> tuple[QuerySet[EnrollmentToken], bool]:
        words = search_term.strip()
        if not words:
            return queryset, False
        return searching.any_of(queryset, _meanings(words), self.get_ordering(request)), False

    def has_cancel_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return request.user.has_perm("pki.change_enrollmenttoken")

    @admin.action(description="Cancel", permissions=["cancel"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[EnrollmentToken]) -> HttpResponse:
        return self._cancel(request, queryset)

    @on_page(description="Cancel", url_path="cancel", icon="block", permissions=["cancel"])
    def cancel_this(self, request: HttpRequest, object_id: str) -> HttpResponse:
        token = self.get_object(request, object_id)
        if token is None or not self.has_view_permission(request, token):
            raise Http404
        return self._cancel(request, EnrollmentToken.objects.filter(pk=token.pk))

    def _cancel(self, request: HttpRequest, chosen: QuerySet[EnrollmentToken]) -> HttpResponse:
        chosen = chosen.select_related("device")

        def act(_: dict[str, Any]) -> str:
            cancelled = tokens.cancel_all(chosen, administrator(request), timezone.now())
            return counted("Cancelled", cancelled, "token")

        return ask_first(
            self,
            request,
            title="Cancel tokens",
            question="Cancel these tokens? Certificates that were got with them stay good.",
            items=chosen,
            button="Cancel the tokens",
            act=act,
        )

    def history_of(self, row: EnrollmentToken) -> dict[str, Any]:
        return {"device__id__exact": row.device_id} if row.device_id else {"kind": "token.made"}

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        token: EnrollmentToken = looked_at(self, request, object_id)
        may_cancel = life_of(token) == USABLE and self.has_cancel_permission(request)
        return TemplateResponse(
            request,
            "console/token_facts.html",
            {
                **self.admin_site.each_context(request),
                "title": f"Token for {self.whom(token)}",
                "token": token,
                "life": life_of(token),
                "may_cancel": may_cancel,
                "enrolled": token.requests.filter(state="issued").order_by("-created_at")[:_ENROLLED_SHOWN],
                "opts": self.model._meta,
                "original": token,
            },
        )


def _meanings(words: str) -> Iterator[Q]:
    """What the words of a search may mean, each to be found by an index."""
    if devices := searching.devices_named(words):
        yield Q(device__in=devices)
    # The empty pattern is said to be excluded because the index leaves it out.
    yield Q(name_pattern__begins=words) & ~Q(name_pattern="")
