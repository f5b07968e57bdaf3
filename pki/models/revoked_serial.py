"""Revocations of certificates that were never seen here."""

from django.db import models

from pki.models.issuer import Issuer
from pki.models.revocation import Revocation


class RevokedSerial(models.Model):
    """That a CA which was made elsewhere has revoked a serial, of whose certificate nobody brought a copy."""

    issuer = models.ForeignKey(
        Issuer, on_delete=models.PROTECT, related_name="revoked_serials", db_index=False
    )
    serial = models.CharField(max_length=40, help_text="Lower-case hex, without leading zeros.")
    subject = models.CharField(max_length=512, help_text="Whose it was, as the CA's own records say.")
    reason = models.CharField(max_length=32, choices=Revocation.Reason)
    revoked_at = models.DateTimeField()
    not_after = models.DateTimeField()

    class Meta:
        # It has no page: CRLs and OCSP say what it says.
        default_permissions = ()
        constraints = (models.UniqueConstraint(fields=["issuer", "serial"], name="revoked_serial_unique"),)

    def __str__(self) -> str:
        return f"{self.serial} of {self.issuer} revoked: {self.reason}"
