"""Profiles: what may be issued, by whom, and on what proof."""

from datetime import timedelta

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from pki.core import names, profiles
from pki.core.keys import KeyKind
from pki.models.issuer import Issuer


def all_key_kinds() -> list[str]:
    return [kind.value for kind in KeyKind]


def usual_warnings() -> list[int]:
    return [30, 7, 1]


class Profile(models.Model):
    """What may be issued to its devices."""

    class Policy(models.TextChoices):
        """What proves that a device may enroll."""

        TOKEN = "token", "token: a secret given by an administrator"
        APPROVAL = "approval", "approval: an administrator looks at each"
        OPEN = "open", "open: signs for anybody"

    name = models.SlugField(max_length=64, unique=True)
    issuer = models.ForeignKey(Issuer, on_delete=models.PROTECT, related_name="profiles")
    enrollment_policy = models.CharField(
        max_length=16,
        choices=Policy,
        default=Policy.TOKEN,
        help_text="“Open” signs for anybody who reaches the provisioning listener. Use it in a lab only.",
    )
    key_kinds = models.JSONField(default=all_key_kinds, help_text="Of P-256, P-384, Ed25519, RSA.")
    lifetime_seconds = models.PositiveIntegerField(
        default=30 * 86400,
        validators=[MinValueValidator(300), MaxValueValidator(10 * 366 * 86400)],
        help_text="How long its certificates live, in seconds; 30 days are 2592000.",
    )
    extended_key_usages = models.JSONField(default=list, help_text="Of clientAuth, serverAuth.")
    subject_from_request = models.JSONField(
        default=list, blank=True, help_text="Subject attributes that a CSR may choose: C, ST, L, O, OU."
    )
    sans_from_request = models.JSONField(
        "SANs from request",
        default=list,
        blank=True,
        help_text="Kinds of SAN that a CSR may choose: DNS, IP, email, URI.",
    )
    renew_same_key = models.BooleanField(
        "renew with the same key",
        default=False,
        help_text="Let a device renew with the key that it has; otherwise it makes a new one each time.",
    )
    supersede_after_minutes = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MaxValueValidator(366 * 1440)],
        help_text="How long after a renewed certificate was first used the one before is revoked as "
        "superseded, in minutes; empty: it stays good until it ends.",
    )
    grace_hours = models.PositiveIntegerField(
        default=0,
        validators=[MaxValueValidator(366 * 24)],
        help_text="How long after its certificate's end a device that slept may still renew, in hours; "
        "never once it is revoked. 0: not at all.",
    )
    warn_days = models.JSONField(
        default=usual_warnings,
        blank=True,
        help_text="Days before a certificate's end at which somebody is told, if it is not renewed.",
    )

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(enrollment_policy__in=["token", "approval", "open"]),
                name="profile_policy_known",
            ),
            models.CheckConstraint(condition=Q(lifetime_seconds__gt=0), name="profile_lifetime_positive"),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def lifetime(self) -> timedelta:
        return timedelta(seconds=self.lifetime_seconds)

    @property
    def rules(self) -> profiles.Rules:
        """This profile as a value. Raises ValueError if a list holds a word that it may not."""
        return profiles.Rules(
            key_kinds=frozenset(KeyKind(kind) for kind in self.key_kinds),
            lifetime=self.lifetime,
            extended_key_usages=tuple(profiles.ExtendedKeyUsage(usage) for usage in self.extended_key_usages),
            subject_from_request=frozenset(self.subject_from_request),
            sans_from_request=frozenset(names.SanKind(kind) for kind in self.sans_from_request),
        )
