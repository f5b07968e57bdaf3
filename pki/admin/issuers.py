from django.contrib import admin
from django.utils.safestring import SafeString

from pki.admin.pages import ReadOnlyAdmin
from pki.admin.shown import labelled, pem_block
from pki.core import keys, pins
from pki.models import Issuer


@admin.register(Issuer)
class IssuerAdmin(ReadOnlyAdmin):
    list_display = ("name", "shown_state", "parent", "key_kind", "not_after")
    list_filter = ("state",)
    list_select_related = ("parent",)
    search_fields = ("name", "fingerprint__startswith", "key_identifier__startswith")
    fields = (
        "name",
        "state",
        "parent",
        "key_kind",
        "not_before",
        "not_after",
        "fingerprint",
        "spki_pin",
        "key_identifier",
        "pem",
        "created_at",
    )
    readonly_fields = ("key_kind", "spki_pin", "pem")

    @labelled(description="state", label={"active": "success", "retired": "info", "compromised": "danger"})
    def shown_state(self, issuer: Issuer) -> str:
        return issuer.state

    @admin.display(description="key")
    def key_kind(self, issuer: Issuer) -> str:
        return keys.describe(issuer.certificate.public_key())

    @admin.display(description="SPKI pin (SHA-256)")
    def spki_pin(self, issuer: Issuer) -> str:
        return pins.spki_pin(issuer.certificate.public_key())

    @admin.display(description="PEM")
    def pem(self, issuer: Issuer) -> SafeString:
        return pem_block(issuer.certificate)
