"""What administrators and their systems are told of, and whether it arrived."""

from django.db import models
from django.db.models import Q

from pki.models.certificate import Certificate
from pki.models.issuer import Issuer
from pki.models.profile import Profile


class Notice(models.Model):
    """Something that somebody should know: certificates that end, a revocation, a campaign that stopped."""

    kind = models.CharField(max_length=64, help_text="certificate.expiring, and so on.")
    at = models.DateTimeField(db_index=True)
    summary = models.CharField(max_length=200, help_text="One sentence.")
    detail = models.JSONField(default=dict)
    count = models.PositiveIntegerField(default=1, help_text="Of how many it tells.")

    class Meta:
        indexes = (models.Index(fields=["kind", "-at"], name="notice_of_kind"),)

    def __str__(self) -> str:
        return self.summary


class Webhook(models.Model):
    """An address that is told of notices by a signed POST."""

    name = models.CharField(max_length=64, unique=True)
    url = models.URLField(max_length=500)
    kinds = models.JSONField(default=list, blank=True, help_text="Kinds of notices; none are all.")
    enabled = models.BooleanField(default=True)
    secret_salt = models.CharField(
        max_length=64, editable=False, help_text="Its signing secret is derived from this and SECRET_KEY."
    )
    created_at = models.DateTimeField(editable=False)
    created_by = models.CharField(max_length=160, editable=False)

    def __str__(self) -> str:
        return self.name


class Delivery(models.Model):
    """One notice on its way to one webhook, or by mail."""

    class State(models.TextChoices):
        PENDING = "pending", "pending: to be tried at its time"
        DELIVERED = "delivered"
        GIVEN_UP = "given up"

    notice = models.ForeignKey(Notice, on_delete=models.PROTECT, related_name="deliveries", db_index=False)
    webhook = models.ForeignKey(
        Webhook,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="deliveries",
        help_text="None: by mail.",
    )
    state = models.CharField(max_length=16, choices=State, default=State.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(null=True, blank=True)
    leased_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Until when somebody who is sending it has it alone."
    )
    status = models.PositiveSmallIntegerField(null=True, blank=True, help_text="HTTP, of the last attempt.")
    error = models.CharField(max_length=500, blank=True, help_text="Of the last attempt.")
    delivered_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = (
            models.CheckConstraint(
                condition=Q(state__in=["pending", "delivered", "given up"]), name="delivery_state_known"
            ),
            models.UniqueConstraint(
                fields=["notice", "webhook"], condition=Q(webhook__isnull=False), name="delivery_once"
            ),
            models.UniqueConstraint(
                fields=["notice"], condition=Q(webhook__isnull=True), name="delivery_by_mail_once"
            ),
        )
        indexes = (
            models.Index(fields=["next_at"], condition=Q(state="pending"), name="delivery_pending"),
            models.Index(fields=["state", "-id"], name="delivery_of_state"),
            models.Index(fields=["webhook", "-id"], name="delivery_of_webhook"),
        )

    def __str__(self) -> str:
        return f"{self.notice} to {self.webhook or 'mail'}: {self.state}"


class ExpiryWarning(models.Model):
    """That somebody was warned of a certificate's end, once for each threshold."""

    certificate = models.ForeignKey(
        Certificate, on_delete=models.PROTECT, null=True, blank=True, related_name="warnings", db_index=False
    )
    issuer = models.ForeignKey(
        Issuer, on_delete=models.PROTECT, null=True, blank=True, related_name="warnings", db_index=False
    )
    days = models.PositiveSmallIntegerField(help_text="The threshold.")
    notice = models.ForeignKey(Notice, on_delete=models.PROTECT, related_name="warnings")

    class Meta:
        default_permissions = ()  # it has no page
        constraints = (
            models.CheckConstraint(
                condition=Q(certificate__isnull=False, issuer__isnull=True)
                | Q(certificate__isnull=True, issuer__isnull=False),
                name="warning_of_one",
            ),
            models.UniqueConstraint(
                fields=["certificate", "days"],
                condition=Q(certificate__isnull=False),
                name="warning_of_certificate_once",
            ),
            models.UniqueConstraint(
                fields=["issuer", "days"], condition=Q(issuer__isnull=False), name="warning_of_issuer_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.certificate or self.issuer}: {self.days} days"


class ExpiryMark(models.Model):
    """Up to which end certificates of a profile were looked at, for one of its thresholds."""

    profile = models.ForeignKey(Profile, on_delete=models.CASCADE, related_name="+", db_index=False)
    days = models.PositiveSmallIntegerField(help_text="The threshold.")
    looked_at = models.DateTimeField()
    up_to = models.DateTimeField(help_text="Whatever ends until then was looked at.")

    class Meta:
        constraints = (models.UniqueConstraint(fields=["profile", "days"], name="expiry_mark_once"),)

    def __str__(self) -> str:
        return f"{self.profile}, {self.days} days: up to {self.up_to}"


class NoticeMark(models.Model):
    """How far the audit trail was read for notices; there is one row."""

    event_id = models.BigIntegerField(default=0, help_text="The last audit event that was read.")
    refusals_event_id = models.BigIntegerField(
        default=0,
        help_text="The same for refused enrollments, which anybody can cause: they are told hourly.",
    )
    renewals_event_id = models.BigIntegerField(default=0, help_text="The same for refused renewals.")

    def __str__(self) -> str:
        return f"read up to event {self.event_id}"
