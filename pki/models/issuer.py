"""Issuers: CA certificates with a signing key."""

from datetime import datetime

from cryptography import x509
from django.db import models
from django.db.models import F, Q

from pki.core import certificates


class Issuer(models.Model):
    """A CA certificate whose key is in the keystore."""

    class State(models.TextChoices):
        ACTIVE = "active"
        RETIRED = "retired"
        COMPROMISED = "compromised"

    name = models.CharField(max_length=64, unique=True, help_text="The CN of its certificate.")
    parent = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="subordinates",
        help_text="The issuer that signed it; none for a root.",
    )
    predecessor = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="successors",
        help_text="The issuer that it was made to replace.",
    )
    state = models.CharField(max_length=16, choices=State, default=State.ACTIVE)
    compromised_at = models.DateTimeField(null=True, blank=True, editable=False)
    published_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="Since when an administrator wants the trust bundle to name it.",
    )
    open_shard = models.PositiveIntegerField(
        default=1,
        db_default=1,
        editable=False,
        help_text="The shard of its CRL that new certificates name; see RevocationList.",
    )
    crl_floor = models.PositiveBigIntegerField(
        default=0,
        db_default=0,
        editable=False,
        help_text="Its CRLs have higher numbers: nobody knows which were given out before a restore.",
    )
    key_reference = models.CharField(
        max_length=128, unique=True, help_text="Where the keystore finds its key."
    )
    key_identifier = models.CharField(
        max_length=40, unique=True, help_text="subjectKeyIdentifier, hex; it names the issuer in URLs."
    )
    certificate_der = models.BinaryField(help_text="The CA certificate, DER.")
    fingerprint = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the DER, hex.")
    not_before = models.DateTimeField()
    not_after = models.DateTimeField()
    created_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(state__in=["active", "retired", "compromised"]), name="issuer_state_known"
            ),
            models.CheckConstraint(
                condition=Q(not_after__gt=F("not_before")), name="issuer_validity_ordered"
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def certificate(self) -> x509.Certificate:
        return certificates.parsed(bytes(self.certificate_der))

    def can_sign(self, now: datetime) -> bool:
        """Whether it is in use, has not ended, and what it signs is not refused.

        `issuing.dependence.able_to_sign` says the same of all. Reads those above it: select them along.
        """
        return self.state == self.State.ACTIVE and now < self.not_after and not self.is_lost

    @property
    def is_lost(self) -> bool:
        """Whether it is compromised, or below one that is: what it signed is refused."""
        return self.lost_with is not None

    @property
    def lost_with(self) -> "Issuer | None":
        """The compromised one that it is lost with: itself, or the nearest above it; None if not lost."""
        if self.state == self.State.COMPROMISED:
            return self
        return self.parent.lost_with if self.parent is not None else None

    @property
    def is_root(self) -> bool:
        return self.parent_id is None
