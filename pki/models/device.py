"""Devices: the end entities."""

from django.db import models
from django.db.models import Q

from pki.core import names, profiles
from pki.models.profile import Profile


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
    created_at = models.DateTimeField(editable=False)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(state__in=["active", "suspended", "retired"]), name="device_state_known"
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def record(self) -> profiles.Record:
        """This device as a value. Raises NameRefused if a name in it is malformed."""
        return profiles.Record(
            name=self.name,
            subject=names.checked_subject(self.subject),
            sans=tuple(names.parse_san(san) for san in self.sans),
        )
