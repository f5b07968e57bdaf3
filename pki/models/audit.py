"""The audit trail: what happened, when, by whom, from where."""

from typing import Any, NoReturn

from django.db import models

from pki.models.certificate import Certificate
from pki.models.device import Device


class AuditEvent(models.Model):
    """Something that happened. It is only ever added; the database refuses to change one."""

    at = models.DateTimeField(db_index=True)
    kind = models.CharField(max_length=64, db_index=True, help_text="certificate.issued, and so on.")
    actor = models.CharField(max_length=160, help_text="administrator:ada, device:door-1, shell:root, …")
    address = models.GenericIPAddressField(null=True, blank=True)
    device = models.ForeignKey(Device, on_delete=models.PROTECT, null=True, blank=True, related_name="events")
    certificate = models.ForeignKey(
        Certificate, on_delete=models.PROTECT, null=True, blank=True, related_name="events"
    )
    count = models.PositiveIntegerField(default=1, help_text="How many alike this one stands for.")
    detail = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"{self.kind} by {self.actor}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("An audit event is never changed.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("An audit event is never deleted.")
