"""OCSP responders in the console: the certificates that issuers gave our own answering keys."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from pki.admin.authority import viewing
from pki.admin.authority.downloading import Downloads
from pki.admin.parts.objects import looked_at
from pki.admin.parts.shown import labelled, when
from pki.models import Responder
from pki.services.exporting import subjects
from pki.services.exporting.files import Of
from pki.services.issuing import authorities
from pki.services.looking import responder_standings


class StandingFilter(admin.SimpleListFilter):
    title = "standing"
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("current", "current"), ("ended", "ended")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Responder]) -> QuerySet[Responder]:
        match self.value():
            case "current":
                return queryset.filter(not_after__gt=timezone.now())
            case "ended":
                return queryset.filter(not_after__lte=timezone.now())
        return queryset


@admin.register(Responder)
class ResponderAdmin(Downloads):
    list_display = ("name", "shown_standing", "begins", "ends", "key_kind", "node")
    list_filter = ("issuer", StandingFilter)
    list_select_related = ("issuer",)
    search_fields = ("issuer__name", "serial__begins")
    search_help_text = "Part of an issuer's name, or the beginning of a serial (hex)"
    ordering = ("issuer_id", "-not_after")
    nothing_yet = (
        "No responder yet. A node that has an issuer's key makes one by itself, at the first OCSP question "
        "about a certificate of that issuer."
    )

    begins = when("not_before", "since", ordering=False)
    ends = when("not_after", "until", ordering=False)

    @admin.display(description="of")
    def name(self, row: Responder) -> str:
        return str(row.issuer)

    @labelled(description="standing", label={"current": "success", "ended": "info"})
    def shown_standing(self, row: Responder) -> str:
        return responder_standings.of(row, timezone.now()).word

    @admin.display(description="key")
    def key_kind(self, row: Responder) -> str:
        return responder_standings.of(row, timezone.now()).key_kind

    @admin.display(description="node")
    def node(self, row: Responder) -> str:
        return "this one" if responder_standings.is_here(row.key_reference) else "another one"

    def download(self, request: HttpRequest, pk: int, form: str) -> HttpResponse:
        row: Responder = looked_at(self, request, str(pk))
        above = authorities.path(row.issuer_id, row.issuer.fingerprint)
        subject = subjects.below(above, f"{row.issuer.name}-ocsp", row.serial, row.certificate)
        return viewing.download(self, request, row, subject, form, Of.CERTIFICATE)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        row: Responder = looked_at(self, request, object_id)
        context = {
            **viewing.context(self, request, row, row.certificate),
            "title": f"OCSP responder of {row.issuer}",
            "standing": responder_standings.of(row, timezone.now()),
            "line": viewing.line_of(row.issuer),
            "may_see_issuers": request.user.has_perm("pki.view_issuer"),
        }
        return TemplateResponse(request, "console/responder.html", context)

    def history_of(self, row: Responder) -> dict[str, Any]:
        return {"kind": "responder.made"}
