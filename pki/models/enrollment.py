"""Enrollment: the tokens that allow it, and every request for it, granted or refused."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from pki.models.certificate import Certificate
from pki.models.device import Device
from pki.models.profile import Profile


class EnrollmentToken(models.Model):
    """A secret that allows enrollment. Only its digest is kept: nobody can read a token back."""

    digest = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the token, hex.")
    device = models.ForeignKey(Device, on_delete=models.PROTECT, null=True, blank=True, related_name="tokens")
    name_pattern = models.CharField(
        max_length=64, blank=True, help_text="Names of new devices that it may make: door-*"
    )
    profile = models.ForeignKey(
        Profile,
        on_delete=models.PROTECT,
        related_name="tokens",
        help_text="What a device that it makes is given; a known device keeps its own.",
    )
    uses_allowed = models.PositiveIntegerField(default=1)
    uses = models.PositiveIntegerField(default=0)
    expires_at = models.DateTimeField()
    cancelled_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=160)

    class Meta:
        verbose_name = "token"
        constraints = (
            models.CheckConstraint(
                condition=Q(device__isnull=False, name_pattern="")
                | (Q(device__isnull=True) & ~Q(name_pattern="")),
                name="token_for_device_or_pattern",
            ),
            models.CheckConstraint(condition=Q(uses_allowed__gt=0), name="token_uses_positive"),
            models.CheckConstraint(
                condition=Q(uses__lte=F("uses_allowed")), name="token_uses_within_allowed"
            ),
        )
        # One for each life that the console lists.
        indexes = (
            models.Index(
                fields=["expires_at"],
                condition=Q(cancelled_at=None, uses__lt=F("uses_allowed")),
                name="token_not_used_up",
            ),
            models.Index(
                fields=["id"],
                condition=Q(cancelled_at=None, uses__gte=F("uses_allowed")),
                name="token_used_up",
            ),
            models.Index(
                fields=["cancelled_at"], condition=Q(cancelled_at__isnull=False), name="token_cancelled"
            ),
            models.Index(
                fields=["name_pattern"],
                condition=~Q(name_pattern=""),
                name="token_of_pattern",
                opclasses=["varchar_pattern_ops"],  # for LIKE, on PostgreSQL
            ),
        )

    def __str__(self) -> str:
        return f"token for {self.device or self.name_pattern}"


class EnrollmentRequest(models.Model):
    """One request to enroll, and what became of it.

    A refusal that comes again and again from one address for one reason is folded into one row, so
    that nobody can fill the database by knocking.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        ISSUED = "issued"
        REFUSED = "refused"
        REJECTED = "rejected"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    state = models.CharField(max_length=16, choices=State)
    name = models.CharField(
        max_length=64, blank=True, db_index=True, help_text="The device's name, as far as known."
    )
    device = models.ForeignKey(
        Device, on_delete=models.PROTECT, null=True, blank=True, related_name="requests"
    )
    profile = models.ForeignKey(
        Profile, on_delete=models.PROTECT, null=True, blank=True, related_name="requests"
    )
    token = models.ForeignKey(
        EnrollmentToken,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="requests",
        db_index=False,
    )
    certificate = models.OneToOneField(
        Certificate, on_delete=models.PROTECT, null=True, blank=True, related_name="request"
    )
    csr_der = models.BinaryField(null=True, blank=True)
    spki_sha256 = models.CharField("SPKI (SHA-256)", max_length=64, blank=True, db_index=True)
    ignored = models.JSONField(default=list, help_text="Wishes of the CSR that were not granted.")
    code = models.CharField(max_length=64, blank=True, help_text="Why it was refused.")
    reason = models.CharField(max_length=500, blank=True)
    waived = models.CharField(
        max_length=64, blank=True, help_text="The code of the one rule that an administrator waived."
    )
    address = models.GenericIPAddressField(null=True, blank=True)
    count = models.PositiveIntegerField(default=1, help_text="How often this refusal was made.")
    fold = models.CharField(max_length=64, null=True, unique=True, editable=False)  # noqa: DJ001
    created_at = models.DateTimeField(db_index=True)
    last_at = models.DateTimeField()
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        verbose_name = "request"
        verbose_name_plural = "inbox"
        constraints = (
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "issued", "refused", "rejected"]),
                name="request_state_known",
            ),
            models.CheckConstraint(
                condition=Q(state="issued", certificate__isnull=False)
                | (~Q(state="issued") & Q(certificate__isnull=True)),
                name="request_issued_has_certificate",
            ),
            # A lost answer heals: the same token with the same key is the same enrollment.
            models.UniqueConstraint(
                fields=["token", "spki_sha256"],
                condition=Q(state="issued", token__isnull=False),
                name="request_once_per_token_and_key",
            ),
            models.UniqueConstraint(
                fields=["name", "spki_sha256"],
                condition=Q(state="waiting"),
                name="request_waits_once",
            ),
        )
        # The inbox lists the newest first, of one state, or of one broken rule, or from one address.
        indexes = (
            models.Index(fields=["state", "-last_at"], name="request_of_state"),
            models.Index(fields=["state", "code", "-last_at"], name="request_of_code"),
            models.Index(fields=["address", "-created_at"], name="request_from"),
            models.Index(
                fields=["token", "-created_at"],
                condition=Q(token__isnull=False),
                name="request_with_token",
            ),
        )

    def __str__(self) -> str:
        return f"{self.name or 'unnamed'}: {self.state}"
