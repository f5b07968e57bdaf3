"""Counts that are kept, so that no page counts a table."""

from django.db import models


class Tally(models.Model):
    """How often something happened on a day (UTC), or by how many a number of devices changed."""

    kind = models.CharField(max_length=32)
    day = models.DateField()
    count = models.BigIntegerField(default=0)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["kind", "day"], name="tally_once_a_day"),)
        verbose_name_plural = "tallies"

    def __str__(self) -> str:
        return f"{self.kind} on {self.day}: {self.count}"


class TallyMark(models.Model):
    """How far the audit trail is tallied; there is one row."""

    event_id = models.BigIntegerField(default=0, help_text="The last audit event that is in the tallies.")

    def __str__(self) -> str:
        return f"tallied up to event {self.event_id}"
