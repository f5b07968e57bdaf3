"""Devices: the end entities."""

from datetime import datetime

from django.db import models
from django.db.models import Q

from pki.core import names, profiles
from pki.models.issuer import Issuer
from pki.models.profile import Profile


class DeviceGroup(models.Model):
    """Devices that are acted on together: a site, a line, a customer."""

    name = models.SlugField(max_length=64, unique=True)
    description = models.CharField(max_length=200, blank=True)

    class Meta:
        verbose_name = "group"

    def __str__(self) -> str:
        return self.name


class Label(models.Model):
    """A word on devices, to find them by: `site=berlin`, `beta`."""

    name = models.CharField(max_length=64, unique=True)

    def __str__(self) -> str:
        return self.name


class Device(models.Model):
    """An end entity; it has many certificates over its life."""

    class State(models.TextChoices):
        ACTIVE = "active"
        SUSPENDED = "suspended"
        RETIRED = "retired"

    name = models.CharField(max_length=64, unique=True, help_text="The CN of its certificates.")
    profile = models.ForeignKey(Profile, on_delete=models.PROTECT, related_name="devices")
    state = models.CharField(max_length=16, choices=State, default=State.ACTIVE)
    subject = models.JSONField(
        default=dict,
        blank=True,
        help_text='More of its subject, as {"O": "Example", "OU": "Line 3"}; the CN is its name.',
    )
    sans = models.JSONField(
        "SANs",
        default=list,
        blank=True,
        help_text='Its subject alternative names, as ["DNS:door.example", "IP:10.0.0.7"].',
    )
    groups = models.ManyToManyField(DeviceGroup, blank=True, related_name="devices")
    labels = models.ManyToManyField(Label, blank=True, related_name="devices")
    rotation_requested_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="Since when it is to have a new key; none once it has shown the new certificate.",
    )
    issuer = models.ForeignKey(
        Issuer,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        db_index=False,
        help_text="Who signs its next certificates, as a campaign decided; none: its profile's issuer.",
    )
    created_at = models.DateTimeField(editable=False)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(state__in=["active", "suspended", "retired"]), name="device_state_known"
            ),
        )
        # The console lists the newest first, of one state.
        indexes = (
            models.Index(fields=["state", "-id"], name="device_of_state"),
            # Few of many rotate at a time.
            models.Index(
                fields=["rotation_requested_at"],
                condition=Q(rotation_requested_at__isnull=False),
                name="device_rotating",
            ),
            models.Index(fields=["issuer"], condition=Q(issuer__isnull=False), name="device_of_issuer"),
        )

    def __str__(self) -> str:
        return self.name

    def decided_issuer(self, now: datetime) -> Issuer | None:
        """Who signs its next certificate instead of its profile's issuer, as a campaign decided; none if none
        did, or if that issuer cannot sign.
        """
        return self.issuer if self.issuer is not None and self.issuer.can_sign(now) else None

    def next_issuer(self, now: datetime) -> Issuer:
        """Who signs its next certificate."""
        return self.decided_issuer(now) or self.profile.issuer

    @property
    def record(self) -> profiles.Record:
        """This device as a value. Raises NameRefused if a name in it is malformed."""
        return profiles.Record(
            name=self.name,
            subject=names.checked_subject(self.subject),
            sans=tuple(names.parse_san(san) for san in self.sans),
        )
