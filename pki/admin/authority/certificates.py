from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import SEARCH_VAR
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from pki.admin.authority import certificate_revocation, inspecting, issuing, viewing
from pki.admin.authority.certificate_filters import (
    ExpiresFilter,
    IssuedFilter,
    RelatedFilter,
    RevokedFilter,
    ShardFilter,
    StandingFilter,
    indexed_order,
)
from pki.admin.authority.downloading import Downloads
from pki.admin.authority.revoking import LiftsHoldsOfRevocations, RevokesCertificates
from pki.admin.parts import sentences
from pki.admin.parts.objects import looked_at
from pki.admin.parts.pages import ReadOnlyAdmin
from pki.admin.parts.shown import labelled, when
from pki.models import Certificate, EnrollmentRequest, Revocation
from pki.services.exporting import subjects
from pki.services.exporting.files import Of
from pki.services.looking import search, standings
from pki.templatetags.console import NOTHING, colons

_EVENTS_SHOWN = 20


@admin.register(Certificate)
class CertificateAdmin(RevokesCertificates, Downloads):
    list_display = (
        "name",
        "standing",
        "short_serial",
        "shown_device",
        "shown_profile",
        "shown_issuer",
        "ends",
    )
    list_filter = (
        StandingFilter,
        ExpiresFilter,
        IssuedFilter,
        ("profile", RelatedFilter),
        ("issuer", RelatedFilter),
    )
    list_select_related = ("device", "revocation__revoked_by")
    # For the box to be there; what it finds is `services.looking.search`'s.
    search_fields = ("common_name",)
    search_help_text = (
        "A serial (hex in any writing, or decimal), SHA-256 fingerprint (a SHA-1 one is not stored), SPKI "
        "pin (hex or base64), common name or SAN; of hex and of names the beginning is enough"
    )
    actions = ("revoke_selected", "lift_selected")
    linked_by = ("device__id__exact",)
    nothing_yet = (
        "No certificate was issued yet. Register a device and give it a token, or issue one by hand."
    )

    ends = when("not_after", "expires", ordering=False)

    # Columns are methods, so that the list is in no other order than that of `get_ordering`.
    @admin.display(description="common name")
    def name(self, certificate: Certificate) -> str:
        return certificate.common_name

    @labelled(
        description="standing",
        label={
            "valid": "success",
            "held": "warning",
            "not yet valid": "warning",
            "device suspended": "warning",
            "revoked": "danger",
            "issuer compromised": "danger",
            "expired": "info",
            "device retired": "info",
        },
    )
    def standing(self, certificate: Certificate) -> str:
        return standings.of(certificate, timezone.now()).word.value

    @admin.display(description="serial")
    def short_serial(self, certificate: Certificate) -> SafeString:
        return format_html(
            '<span class="mono one-line" title="{}">{}…</span>',
            colons(certificate.serial),
            colons(certificate.serial)[:11],
        )

    @admin.display(description="device")
    def shown_device(self, certificate: Certificate) -> SafeString | str:
        if certificate.device is None:
            return f"listener {certificate.listener}" if certificate.listener else NOTHING
        url = reverse("admin:pki_device_change", args=[certificate.device.pk])
        return format_html('<a class="content-link" href="{}">{}</a>', url, certificate.device)

    @admin.display(description="profile")
    def shown_profile(self, certificate: Certificate) -> str:
        return str(certificate.profile)

    @admin.display(description="issuer")
    def shown_issuer(self, certificate: Certificate) -> str:
        return str(certificate.issuer)

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return indexed_order(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Certificate]:
        # Not joined: a database without statistics may begin with the smallest table, and sort the largest.
        queryset: QuerySet[Certificate] = (
            super().get_queryset(request).prefetch_related("issuer__parent", "profile")
        )
        return queryset

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Certificate], search_term: str
    ) -> tuple[QuerySet[Certificate], bool]:
        if search_term.strip():
            queryset = queryset.filter(pk__in=search.find(search_term).keys)
        return queryset, False

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [path("inspect/", inspecting.in_memory(view(self.inspect)), name="pki_inspect")]
        urls: list[URLPattern] = super().get_urls()
        return [*issuing.urls(self), *own, *urls]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if (
            request.method == "GET"
            and list(request.GET) == [SEARCH_VAR]
            and self.has_view_permission(request)
        ):
            exact = search.exact(request.GET[SEARCH_VAR])
            if exact is not None:
                return HttpResponseRedirect(reverse("admin:pki_certificate_change", args=[exact]))
        response: HttpResponse = super().changelist_view(request, extra_context)
        return response

    def inspect(self, request: HttpRequest) -> HttpResponse:
        return inspecting.inspect(request, self)

    def history_of(self, row: Certificate) -> dict[str, Any]:
        return {"certificate__id__exact": row.pk}

    def download(self, request: HttpRequest, pk: int, form: str) -> HttpResponse:
        certificate = looked_at(self, request, str(pk))
        return viewing.download(
            self, request, certificate, subjects.of_certificate(certificate), form, Of.CERTIFICATE
        )

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Certificate | None:
        joined = ("issuer__parent", "profile", "device", "revocation__revoked_by")
        try:
            return Certificate.objects.select_related(*joined).filter(pk=int(object_id)).first()
        except ValueError:
            return None

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        certificate: Certificate = looked_at(self, request, object_id)
        context = {
            **viewing.context(self, request, certificate, certificate.parsed),
            "title": certificate.common_name,
            "certificate": certificate,
            "export_command": viewing.export_command(certificate) if certificate.device else "",
            "standing": standings.of(certificate, timezone.now()),
            "line": viewing.line_of(certificate.issuer),
            "may_see_device": request.user.has_perm("pki.view_device"),
            "may_see_issuers": request.user.has_perm("pki.view_issuer"),
            "request_url": _request_url(request, certificate),
            **certificate_revocation.context(request, certificate),
        }
        if request.user.has_perm("pki.view_auditevent"):
            context["timeline"] = sentences.lines(certificate.events.order_by("-at", "-pk")[:_EVENTS_SHOWN])
        return TemplateResponse(request, "console/certificate.html", context)


def _request_url(request: HttpRequest, certificate: Certificate) -> str:
    """Where the request is that the certificate came from; empty if there is none, or none to be seen."""
    if not request.user.has_perm("pki.view_enrollmentrequest"):
        return ""
    key = EnrollmentRequest.objects.filter(certificate=certificate).values_list("pk", flat=True).first()
    return reverse("admin:pki_enrollmentrequest_change", args=[key]) if key else ""


@admin.register(Revocation)
class RevocationAdmin(LiftsHoldsOfRevocations, ReadOnlyAdmin):
    list_display = ("certificate", "reason", "revoked", "revoked_by")
    fields = ("certificate", "reason", "revoked", "revoked_by")
    readonly_fields = ("revoked",)
    list_filter = (RevokedFilter, "reason", ShardFilter)
    list_select_related = ("certificate", "revoked_by")
    search_fields = ("certificate__serial",)  # shows the box; get_search_results searches
    search_help_text = "As in the list of certificates: a name, a serial, a fingerprint or a SAN"
    actions = ("lift_selected",)
    nothing_yet = (
        "Nothing was revoked. A certificate is revoked on its own page, all of a device on the device's."
    )

    revoked = when("revoked_at", "revoked", ordering=False)

    def history_of(self, row: Revocation) -> dict[str, Any]:
        return {"certificate__id__exact": row.certificate_id}

    def get_ordering(self, request: HttpRequest) -> tuple[Any, ...]:
        if ShardFilter.parameter_name in request.GET:
            # Sorted: walking the newest revocations of all shards to find those of one would take seconds.
            return ((F("pk") + 0).desc(),)
        # The order in which an index gives what the filter leaves.
        return ("-revoked_at", "-pk") if RevokedFilter.parameter_name in request.GET else ("-pk",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Revocation], search_term: str
    ) -> tuple[QuerySet[Revocation], bool]:
        if search_term.strip():
            queryset = queryset.filter(certificate__in=search.find(search_term).keys)
        return queryset, False
