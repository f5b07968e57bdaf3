"""Revocations (RFC 5280 5.3.1)."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from pki.models.certificate import Certificate


class Revocation(models.Model):
    """That a certificate is good no more, since when and why."""

    class Reason(models.TextChoices):
        """RFC 5280's reasons that apply to an end entity, by their names there."""

        UNSPECIFIED = "unspecified", "unspecified: no reason given"
        KEY_COMPROMISE = "keyCompromise", "keyCompromise: the key, or the device, is in wrong hands"
        AFFILIATION_CHANGED = "affiliationChanged", "affiliationChanged: its names are no longer true"
        SUPERSEDED = "superseded", "superseded: a newer certificate replaces it"
        CESSATION_OF_OPERATION = "cessationOfOperation", "cessationOfOperation: the device is gone"
        CERTIFICATE_HOLD = "certificateHold", "certificateHold: stopped for the time being"
        PRIVILEGE_WITHDRAWN = "privilegeWithdrawn", "privilegeWithdrawn: it may no longer do this"

    certificate = models.OneToOneField(Certificate, on_delete=models.PROTECT, related_name="revocation")
    reason = models.CharField(max_length=32, choices=Reason)
    revoked_at = models.DateTimeField(db_index=True)
    revoked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        # The console lists the newest of one reason, as those on hold.
        indexes = (models.Index(fields=["reason", "-id"], name="revocation_of_reason"),)
        constraints = (
            models.CheckConstraint(
                condition=Q(
                    reason__in=[
                        "unspecified",
                        "keyCompromise",
                        "affiliationChanged",
                        "superseded",
                        "cessationOfOperation",
                        "certificateHold",
                        "privilegeWithdrawn",
                    ]
                ),
                name="revocation_reason_known",
            ),
        )

    def __str__(self) -> str:
        return f"{self.certificate} revoked: {self.reason}"
