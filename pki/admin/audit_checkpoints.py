"""Audit checkpoints in the console: how far the audit trail is proven, and by which key."""

import base64
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from pki.admin.parts.objects import looked_at
from pki.admin.parts.pages import ReadOnlyAdmin
from pki.admin.parts.shown import when
from pki.core import audit_proof
from pki.models import AuditCheckpoint
from pki.services.auditing import checkpoints, signers
from pki.services.looking import audit_standing


@admin.register(AuditCheckpoint)
class AuditCheckpointAdmin(ReadOnlyAdmin):
    list_display = ("shown_number", "at_", "shown_count", "last_event", "shown_signer")
    list_before_template = "console/parts/audit_standing.html"
    list_select_related = ("signer",)
    search_fields = ("signer__fingerprint__begins",)
    search_help_text = "The beginning of the SHA-256 of the key that signed (hex)"
    ordering = ("-number",)
    nothing_yet = "No checkpoint yet. Maintenance signs the first within a minute: manage.py maintain."

    at_ = when("at", "signed", ordering=False)

    @admin.display(description="checkpoint")
    def shown_number(self, row: AuditCheckpoint) -> str:
        return f"{row.number:,}"

    @admin.display(description="events")
    def shown_count(self, row: AuditCheckpoint) -> str:
        return f"{row.count:,}"

    @admin.display(description="by the key")
    def shown_signer(self, row: AuditCheckpoint) -> str:
        return f"{row.signer.fingerprint[:16]}…"

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        standing = {"standing": audit_standing.now_is(timezone.now())}
        return super().changelist_view(request, {**standing, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        row: AuditCheckpoint = looked_at(self, request, object_id)
        context = {
            **self.admin_site.each_context(request),
            "title": str(row),
            "opts": self.model._meta,
            "original": row,
            "checkpoint": row,
            "line": audit_proof.canonical(checkpoints.record(row)).decode(),
            "signature": base64.b64encode(bytes(row.signature)).decode(),
            "public_key": signers.pem(row.signer),
        }
        return TemplateResponse(request, "console/audit_checkpoint.html", context)

    def history_of(self, row: AuditCheckpoint) -> dict[str, Any]:
        return {"kind": "audit_signer.made"}
