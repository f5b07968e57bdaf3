"""Renewals: which certificate came in place of which."""

from django.db import models

from pki.models.certificate import Certificate
from pki.models.device import Device


class Renewal(models.Model):
    """A certificate that a device was given because it showed an earlier one of its own."""

    certificate = models.OneToOneField(
        Certificate, on_delete=models.PROTECT, related_name="renewal", help_text="The new one."
    )
    replaced = models.ForeignKey(
        Certificate, on_delete=models.PROTECT, related_name="renewals", help_text="The one that was shown."
    )
    device = models.ForeignKey(Device, on_delete=models.PROTECT, related_name="renewals", db_index=False)
    address = models.GenericIPAddressField(null=True, blank=True)
    at = models.DateTimeField()
    used_at = models.DateTimeField(
        null=True, blank=True, help_text="When the new one was first shown to us; none until then."
    )
    supersede_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When the one before is to be revoked as superseded; none if it may live to its end, "
        "or once it is done.",
    )

    class Meta:
        indexes = (
            models.Index(fields=["device", "-at"], name="renewal_of_device"),
            models.Index(
                fields=["supersede_at"],
                condition=models.Q(supersede_at__isnull=False),
                name="renewal_to_supersede",
            ),
        )

    def __str__(self) -> str:
        return f"{self.replaced} renewed as {self.certificate}"
