"""Certificate revocation lists (RFC 5280 5) as they were signed last."""

from django.db import models
from django.db.models import Q

from pki.models.issuer import Issuer

# The list of all certificates of an issuer. Shards are numbered from 1.
FULL = 0
# What was signed: columns that may hold a megabyte each, for `defer`.
SIGNED_BYTES = ("der", "base_der", "delta_der")


class RevocationList(models.Model):
    """A CRL of an issuer: of one shard of its certificates, or (shard 0) of all of them."""

    issuer = models.ForeignKey(
        Issuer, on_delete=models.PROTECT, related_name="revocation_lists", db_index=False
    )
    shard = models.PositiveIntegerField(help_text="0 is the full list.")
    url = models.CharField(
        "URL", max_length=2000, help_text="Where the shard's certificates say that it is; signed into both."
    )
    number = models.PositiveBigIntegerField(
        default=0, help_text="CRL number of what is stored (RFC 5280 5.2.3); 0 before the first."
    )
    this_update = models.DateTimeField(null=True, blank=True)
    next_update = models.DateTimeField(null=True, blank=True)
    renew_at = models.DateTimeField(
        null=True, blank=True, db_index=True, help_text="When it is made anew at the latest; none: no more."
    )
    entries = models.PositiveIntegerField(default=0)
    size = models.PositiveIntegerField(default=0, help_text="Bytes of the DER.")
    fingerprint = models.CharField(
        "fingerprint (SHA-256)", max_length=64, blank=True, help_text="Of the DER, hex."
    )
    milliseconds = models.PositiveIntegerField(default=0, help_text="How long the last one took to make.")
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when no new certificate names this shard."
    )
    # Last, so that a row is read without them.
    der = models.BinaryField(null=True, editable=False)
    base_number = models.PositiveBigIntegerField(
        default=0, help_text="The complete list that the delta adds to (RFC 5280 5.2.4); 0: there is none."
    )
    base_der = models.BinaryField(null=True, editable=False)
    delta_der = models.BinaryField(null=True, editable=False)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["issuer", "shard"], name="revocation_list_of_shard"),
            models.CheckConstraint(
                condition=Q(number=0, der__isnull=True) | Q(number__gt=0, der__isnull=False),
                name="revocation_list_numbered",
            ),
        )

    def __str__(self) -> str:
        what = f"shard {self.shard}" if self.shard != FULL else "full list"
        return f"{self.issuer}: {what}, number {self.number}"


class StaleList(models.Model):
    """A note that a list no longer says what is true; deleted once one is signed that does.

    Notes are only ever added by who revokes, so that two who revoke at once never wait for each other.
    """

    issuer = models.ForeignKey(Issuer, on_delete=models.PROTECT, related_name="+", db_index=False)
    shard = models.PositiveIntegerField()
    at = models.DateTimeField()

    class Meta:
        indexes = (models.Index(fields=["issuer", "shard"], name="stale_list_of_issuer"),)

    def __str__(self) -> str:
        return f"shard {self.shard} of issuer {self.issuer_id} since {self.at}"
