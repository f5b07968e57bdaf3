from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import URLPattern
from django.utils import timezone
from django.utils.safestring import SafeString

from pki.admin import issuing
from pki.admin.pages import ReadOnlyAdmin
from pki.admin.revoking import LiftsHoldsOfRevocations, RevokesCertificates
from pki.admin.shown import labelled, pem_block
from pki.core import pins
from pki.models import Certificate, Revocation


class StandingFilter(admin.SimpleListFilter):
    title = "standing"
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("valid", "valid"), ("revoked", "revoked"), ("expired", "expired")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Certificate]) -> QuerySet[Certificate]:
        now = timezone.now()
        match self.value():
            case "valid":
                return queryset.filter(revocation=None, not_after__gte=now)
            case "revoked":
                return queryset.exclude(revocation=None)
            case "expired":
                return queryset.filter(not_after__lt=now)
        return queryset


@admin.register(Certificate)
class CertificateAdmin(RevokesCertificates, ReadOnlyAdmin):
    list_display = ("common_name", "standing", "serial", "profile", "not_after")
    list_filter = (StandingFilter, "profile", "issuer")
    list_select_related = ("issuer", "profile", "revocation")
    search_fields = ("common_name__startswith", "serial__startswith", "fingerprint__startswith")
    search_help_text = "The beginning of a common name, of a serial (hex) or of a SHA-256 fingerprint (hex)"
    ordering = ("-pk",)
    actions = ("revoke_selected", "lift_selected")
    fields = (
        "common_name",
        "standing_in_words",
        "device",
        "listener",
        "subject",
        "sans",
        "serial",
        "fingerprint",
        "spki_pin",
        "issuer",
        "profile",
        "not_before",
        "not_after",
        "issued_at",
        "pem",
    )
    readonly_fields = ("standing_in_words", "subject", "spki_pin", "pem")

    def get_urls(self) -> list[URLPattern]:
        return [*issuing.urls(self), *super().get_urls()]

    @labelled(description="standing", label={"valid": "success", "expired": "info", "revoked": "danger"})
    def standing(self, certificate: Certificate) -> tuple[str, str]:
        revoked = getattr(certificate, "revocation", None)
        if revoked is not None:
            return "revoked", f"revoked: {revoked.reason}"
        word = "expired" if certificate.not_after < timezone.now() else "valid"
        return word, word

    @admin.display(description="standing")
    def standing_in_words(self, certificate: Certificate) -> str:
        return self.standing(certificate)[1]

    @admin.display(description="subject")
    def subject(self, certificate: Certificate) -> str:
        return certificate.parsed.subject.rfc4514_string()

    @admin.display(description="SPKI pin (SHA-256)")
    def spki_pin(self, certificate: Certificate) -> str:
        return pins.spki_pin(certificate.parsed.public_key())

    @admin.display(description="PEM")
    def pem(self, certificate: Certificate) -> SafeString:
        return pem_block(certificate.parsed)


@admin.register(Revocation)
class RevocationAdmin(LiftsHoldsOfRevocations, ReadOnlyAdmin):
    list_display = ("certificate", "reason", "revoked_at", "revoked_by")
    list_filter = ("reason",)
    list_select_related = ("certificate", "revoked_by")
    search_fields = ("certificate__common_name__startswith", "certificate__serial__startswith")
    ordering = ("-pk",)
    actions = ("lift_selected",)
