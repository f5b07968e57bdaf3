"""What makes the audit trail provable: a chain of hashes over its events, and checkpoints that are signed."""

from django.db import models

from pki.models.audit import AuditEvent


class AuditChain(models.Model):
    """The chain that the events are sealed into; there is one row."""

    name = models.CharField(max_length=32, help_text="What tells it from other chains; random, hex.")
    begun_at = models.DateTimeField()
    # Of events with lower numbers than these, the first ones are all sealed, the second ones soon will be.
    sealed_below = models.BigIntegerField(default=1)
    settling_below = models.BigIntegerField(default=1)
    settled_by = models.BigIntegerField(default=0, help_text="The first transaction of a later time.")
    sent_position = models.BigIntegerField(default=0, help_text="Sent to syslog up to there.")
    sent_hash = models.CharField(max_length=64, blank=True, help_text="Of the event there, hex.")
    sent_checkpoint = models.BigIntegerField(default=0)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.name


class AuditSeal(models.Model):
    """An event's place in the chain, and the hash of it and of all before it."""

    position = models.BigIntegerField(primary_key=True, help_text="1, 2, 3, … without a gap.")
    # No constraint: who takes an event out of the trail is to leave its seal behind. And on PostgreSQL,
    # checking one writes to the event's row.
    event = models.OneToOneField(
        AuditEvent, on_delete=models.DO_NOTHING, db_constraint=False, related_name="seal"
    )
    hash = models.BinaryField(help_text="SHA-256 of the hash before and this event; 32 bytes.")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.position}: event {self.event_id}"


class AuditSigner(models.Model):
    """A key that signs checkpoints, and nothing else."""

    key_reference = models.CharField(max_length=128, unique=True, help_text="Where the keystore finds it.")
    public_key = models.BinaryField(help_text="SubjectPublicKeyInfo (RFC 5280 4.1.2.7), DER.")
    fingerprint = models.CharField(max_length=64, unique=True, help_text="SHA-256 of that, lower-case hex.")
    made_at = models.DateTimeField()
    endorsed_by = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="endorsed"
    )
    statement = models.TextField(blank=True, help_text="What that one signed of this one.")
    signature = models.BinaryField(default=b"", help_text="ECDSA with SHA-256 over the statement, DER.")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.fingerprint[:16]


class AuditCheckpoint(models.Model):
    """A signed statement of how many events there were at a time, and of their last hash."""

    number = models.BigIntegerField(unique=True, help_text="1, 2, 3, … without a gap.")
    count = models.BigIntegerField(help_text="How many events are sealed, which is the last one's position.")
    last_event = models.BigIntegerField()
    at = models.DateTimeField()
    statement = models.TextField(help_text="What is signed.")
    signature = models.BinaryField(help_text="ECDSA with SHA-256 over the statement, DER.")
    signer = models.ForeignKey(AuditSigner, on_delete=models.PROTECT, related_name="checkpoints")

    class Meta:
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"Checkpoint {self.number}"
