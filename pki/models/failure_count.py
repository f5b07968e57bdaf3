"""How often somebody failed lately."""

from django.db import models


class FailureCount(models.Model):
    """Failures of one address, token or device within the current window (`services.limits`)."""

    key = models.CharField(max_length=32, primary_key=True, help_text="Whose; of addresses a slot of many.")
    since = models.DateTimeField(db_index=True, help_text="When the window began.")
    count = models.PositiveIntegerField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.key}: {self.count}"
