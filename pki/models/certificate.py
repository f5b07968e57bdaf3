"""Certificates that were issued."""

from functools import cached_property

from cryptography import x509
from django.db import models
from django.db.models import F, Q

from pki.models.device import Device
from pki.models.issuer import Issuer
from pki.models.profile import Profile


class Certificate(models.Model):
    """An end-entity certificate, kept for ever as it was signed.

    What was signed never changes: the database refuses it (see `pki.models.immutable`).
    """

    # Without indexes of their own: those below begin with them.
    issuer = models.ForeignKey(Issuer, on_delete=models.PROTECT, related_name="certificates", db_index=False)
    serial = models.CharField(max_length=40, help_text="Lower-case hex, without leading zeros.")
    fingerprint = models.CharField(
        "fingerprint (SHA-256)", max_length=64, unique=True, help_text="Of the DER, hex."
    )
    profile = models.ForeignKey(
        Profile, on_delete=models.PROTECT, related_name="certificates", db_index=False
    )
    device = models.ForeignKey(
        Device,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="certificates",
        help_text="None for the listeners' own.",
    )
    listener = models.CharField(
        max_length=16, blank=True, help_text="Which of our own listeners it is for; empty for a device's."
    )
    key_reference = models.CharField(
        max_length=128,
        blank=True,
        help_text="Where the keystore finds its key; empty for a device's, which never leaves the device.",
    )
    common_name = models.CharField(max_length=64, db_index=True)
    sans = models.JSONField("SANs", default=list)
    spki_sha256 = models.CharField(max_length=64, db_index=True)
    not_before = models.DateTimeField()
    not_after = models.DateTimeField(db_index=True)
    issued_at = models.DateTimeField(db_index=True)
    crl_shard = models.PositiveIntegerField(
        default=0,
        db_default=0,
        help_text="The shard of its issuer's CRL that it names; 0 is the full list.",
    )
    der = models.BinaryField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["issuer", "serial"], name="certificate_serial_unique"),
            models.CheckConstraint(
                condition=Q(not_after__gt=F("not_before")), name="certificate_validity_ordered"
            ),
        )
        indexes = (
            models.Index(
                fields=["listener", "-issued_at"],
                condition=~Q(listener=""),
                name="certificate_of_listener",
            ),
            # The console lists those of an issuer or a profile by the end of their life.
            models.Index(fields=["issuer", "not_after", "id"], name="certificate_of_issuer"),
            models.Index(fields=["profile", "not_after", "id"], name="certificate_of_profile"),
            models.Index(fields=["issuer", "crl_shard"], name="certificate_of_shard"),
            # A serial by itself, whole or its beginning; the class lets PostgreSQL use it for LIKE.
            models.Index(fields=["serial"], opclasses=["varchar_pattern_ops"], name="certificate_by_serial"),
        )

    def __str__(self) -> str:
        return f"{self.common_name} ({self.serial[:8]}…)"

    @cached_property
    def parsed(self) -> x509.Certificate:
        return x509.load_der_x509_certificate(bytes(self.der))


class SubjectAltName(models.Model):
    """A SAN of a certificate, to search by; what was signed stands in the certificate."""

    certificate = models.ForeignKey(Certificate, on_delete=models.PROTECT, related_name="alt_names")
    value = models.CharField(max_length=253, db_index=True, help_text="Without its kind, lower-case.")

    def __str__(self) -> str:
        return self.value
