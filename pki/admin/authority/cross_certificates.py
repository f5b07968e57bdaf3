"""Cross-certificates in the console: a root's key, certified by another root."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from pki.admin.authority import viewing
from pki.admin.authority.downloading import Downloads
from pki.admin.parts.objects import looked_at
from pki.admin.parts.shown import when
from pki.models import CrossCertificate
from pki.services.exporting import subjects
from pki.services.exporting.files import Of
from pki.services.issuing import authorities


@admin.register(CrossCertificate)
class CrossCertificateAdmin(Downloads):
    list_display = ("name", "shown_signer", "begins", "ends", "made")
    list_filter = ("subject", "signer")
    list_select_related = ("subject", "signer")
    search_fields = ("subject__name", "signer__name", "serial__begins")
    search_help_text = "Part of an issuer's name, or the beginning of a serial (hex)"
    ordering = ("-pk",)
    nothing_yet = (
        "None yet. When a root gets a successor, each certifies the other's key, so that who trusts one of "
        "them can verify what is under both: make the next issuer on the page of a root."
    )

    begins = when("not_before", "since", ordering=False)
    ends = when("not_after", "until", ordering=False)
    made = when("created_at", "made", ordering=False)

    @admin.display(description="whose key")
    def name(self, row: CrossCertificate) -> str:
        return str(row.subject)

    @admin.display(description="certified by")
    def shown_signer(self, row: CrossCertificate) -> str:
        return str(row.signer)

    def download(self, request: HttpRequest, pk: int, form: str) -> HttpResponse:
        row: CrossCertificate = looked_at(self, request, str(pk))
        above = authorities.path(row.signer_id, row.signer.fingerprint)
        subject = subjects.below(above, f"{row.subject.name}-cross", row.serial, row.certificate)
        return viewing.download(self, request, row, subject, form, Of.CERTIFICATE)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        row: CrossCertificate = looked_at(self, request, object_id)
        context = {
            **viewing.context(self, request, row, row.certificate),
            "line": viewing.line_of(row.signer),
            "may_see_issuers": request.user.has_perm("pki.view_issuer"),
        }
        return TemplateResponse(request, "console/cross_certificate.html", context)

    def history_of(self, row: CrossCertificate) -> dict[str, Any]:
        return {"kind": "cross_certificate.made"}
