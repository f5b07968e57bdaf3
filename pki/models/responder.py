"""OCSP responders (RFC 6960 4.2.2.2)."""

from cryptography import x509
from django.db import models

from pki.core import certificates
from pki.models.issuer import Issuer


class Responder(models.Model):
    """A certificate by which an issuer lets a key of ours sign OCSP answers for it."""

    issuer = models.ForeignKey(Issuer, on_delete=models.PROTECT, related_name="responders", db_index=False)
    key_reference = models.CharField(
        max_length=128, unique=True, help_text="Where the keystore finds its key; it is on one node."
    )
    serial = models.CharField(max_length=40, help_text="Lower-case hex, without leading zeros.")
    not_before = models.DateTimeField()
    not_after = models.DateTimeField()
    created_at = models.DateTimeField()
    certificate_der = models.BinaryField(help_text="DER.")

    class Meta:
        verbose_name = "OCSP responder"
        constraints = (models.UniqueConstraint(fields=["issuer", "serial"], name="responder_serial_unique"),)
        indexes = (models.Index(fields=["issuer", "not_after"], name="responder_of_issuer"),)

    def __str__(self) -> str:
        return f"Responder of {self.issuer}, until {self.not_after:%Y-%m-%d %H:%M} UTC"

    @property
    def certificate(self) -> x509.Certificate:
        return certificates.parsed(bytes(self.certificate_der))
