"""When devices were last seen."""

from django.db import models

from pki.models.certificate import Certificate
from pki.models.device import Device


class LastSeen(models.Model):
    """When a device last proved itself over mutual TLS, seconds late (`services.fleet.sightings`)."""

    device = models.OneToOneField(
        Device, on_delete=models.PROTECT, primary_key=True, related_name="last_seen"
    )
    at = models.DateTimeField(db_index=True)
    address = models.GenericIPAddressField(null=True, blank=True)
    tls_version = models.CharField("TLS version", max_length=16)
    bundle_version = models.PositiveIntegerField(
        null=True,
        blank=True,
        db_index=True,
        help_text="The latest version of the trust bundle that it fetched on the secure listener.",
    )
    certificate = models.ForeignKey(Certificate, on_delete=models.PROTECT, related_name="+")

    def __str__(self) -> str:
        return f"{self.device_id} at {self.at:%Y-%m-%d %H:%M} UTC"
