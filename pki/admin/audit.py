from django.contrib import admin

from pki.admin.pages import ReadOnlyAdmin
from pki.models import AuditEvent


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    list_display = ("at", "kind", "actor", "address", "device", "summary", "count")
    list_filter = ("kind", "at")
    list_select_related = ("device",)
    search_fields = ("actor__startswith", "address__startswith", "device__name__startswith")
    search_help_text = "The beginning of an actor, an address or a device's name"
    ordering = ("-pk",)

    @admin.display(description="summary")
    def summary(self, event: AuditEvent) -> str:
        words = (event.detail.get(key) for key in ("name", "reason", "code", "explanation", "profile"))
        return ", ".join(str(word) for word in words if word)
