from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from pki.admin.authority import viewing
from pki.admin.authority.downloading import Downloads
from pki.admin.authority.importing import ImportsAuthorities
from pki.admin.authority.issuer_revocation import ShowsRevocation
from pki.admin.authority.issuer_succession import Succeeds
from pki.admin.authority.root_publishing import PublishesRoots
from pki.admin.parts.objects import looked_at
from pki.admin.parts.shown import labelled, when
from pki.core import keys
from pki.core.diagnosis import difference
from pki.models import Issuer
from pki.services.exporting import subjects
from pki.services.exporting.files import Form, Of


@admin.register(Issuer)
class IssuerAdmin(ShowsRevocation, Succeeds, PublishesRoots, ImportsAuthorities, Downloads):
    list_display = ("name", "shown_state", "parent", "key_kind", "life", "ends")
    list_filter = ("state", ("parent", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("parent",)
    nothing_yet = "No issuer yet: manage.py bootstrap makes the first ones."
    search_fields = ("name", "fingerprint__begins", "key_identifier__begins")
    search_help_text = (
        "Part of a name, or the beginning of a SHA-256 fingerprint or of a key identifier (hex)"
    )

    ends = when("not_after", "expires", ordering=False)

    @labelled(description="state", label={"active": "success", "retired": "info", "compromised": "danger"})
    def shown_state(self, issuer: Issuer) -> str:
        return issuer.state

    @admin.display(description="key")
    def key_kind(self, issuer: Issuer) -> str:
        return keys.describe(issuer.certificate.public_key())

    @admin.display(description="remaining life")
    def life(self, issuer: Issuer) -> str:
        return remaining(issuer)

    def download(self, request: HttpRequest, pk: int, form: str) -> HttpResponse:
        issuer: Issuer = looked_at(self, request, str(pk))
        return viewing.download(
            self, request, issuer, subjects.of_issuer(issuer), form, Of.CERTIFICATE, Of.TRUST
        )

    def _files(self, issuer: Issuer) -> list[tuple[str, list[tuple[str, str]]]]:
        """Its certificate, and for as long as somebody may trust it, its root for trust stores."""
        # Nobody is above a root: they would be its PEM once more.
        without = [Form.CHAIN, Form.FULL_CHAIN] if issuer.is_root else []
        offered = [("", viewing.offered(self, issuer, Of.CERTIFICATE, without=without))]
        if not issuer.is_lost:
            root = "it" if issuer.is_root else "its root"
            offered.append((f"For those who are to trust {root}", viewing.offered(self, issuer, Of.TRUST)))
        return offered

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        issuer: Issuer = looked_at(self, request, object_id)
        context = {
            **viewing.context(self, request, issuer, issuer.certificate),
            "issuer": issuer,
            "files": self._files(issuer),
            "buttons": self.buttons(request, issuer),
            "remaining": remaining(issuer),
            "line": viewing.line_of(issuer)[:-1],
            "subordinates": issuer.subordinates.order_by("name"),
            "profiles": issuer.profiles.order_by("name"),
            "may_see_issuers": True,
            "may_see_profiles": request.user.has_perm("pki.view_profile"),
            "may_see_certificates": request.user.has_perm("pki.view_certificate"),
            **self.beside(request, issuer),
            **self.publishing(request, issuer),
            **self.revocation_context(request, issuer),
        }
        return TemplateResponse(request, "console/issuer.html", context)


def remaining(issuer: Issuer) -> str:
    """How long an issuer still lives, in words."""
    left = issuer.not_after - timezone.now()
    return difference(left) if left.total_seconds() > 0 else f"over since {difference(left)}"
