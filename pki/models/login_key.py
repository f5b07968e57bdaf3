"""Keys that log administrators in."""

from django.conf import settings
from django.db import models


class LoginKey(models.Model):
    """A key whose certificates, issued here and standing, log a user into the console."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="login_keys")
    spki_sha256 = models.CharField("SPKI (SHA-256)", max_length=64, unique=True)
    name = models.CharField(max_length=64, help_text="What it is: Ada's laptop.")
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=160)

    def __str__(self) -> str:
        return self.name
