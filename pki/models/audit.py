"""The audit trail: what happened, when, by whom, from where."""

from typing import Any, NoReturn

from django.db import models

from pki.models.certificate import Certificate
from pki.models.device import Device


class AuditEvent(models.Model):
    """Something that happened. It is only ever added; the database refuses to change one."""

    at = models.DateTimeField(db_index=True)
    kind = models.CharField(max_length=64, help_text="certificate.issued, and so on.")
    actor = models.CharField(max_length=160, help_text="administrator:ada, device:door-1, shell:root, …")
    address = models.GenericIPAddressField(null=True, blank=True)
    device = models.ForeignKey(
        Device, on_delete=models.PROTECT, null=True, blank=True, related_name="events", db_index=False
    )
    certificate = models.ForeignKey(
        Certificate,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="events",
        db_index=False,
    )
    count = models.PositiveIntegerField(default=1, help_text="How many alike this one stands for.")
    detail = models.JSONField(default=dict)

    class Meta:
        verbose_name_plural = "audit log"
        # The console lists the newest first: of all, or of one of these. Each ends with the list's order,
        # because one device that is broken, or one administrator, may have most of the events.
        indexes = (
            models.Index(fields=["kind", "at", "id"], name="event_of_kind"),
            models.Index(fields=["actor", "at", "id"], name="event_of_actor"),
            models.Index(fields=["address", "at", "id"], name="event_from"),
            models.Index(fields=["device", "at", "id"], name="event_of_device"),
            models.Index(fields=["certificate", "at", "id"], name="event_of_certificate"),
        )

    def __str__(self) -> str:
        return f"{self.kind} by {self.actor}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("An audit event is never changed.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("An audit event is never deleted.")
