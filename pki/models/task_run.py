"""When each task of maintenance ran last, so that somebody sees if none does."""

from django.db import models


class TaskRun(models.Model):
    """The last run of a task that one node does for all."""

    name = models.CharField(max_length=64, unique=True)
    at = models.DateTimeField(help_text="When it began.")
    milliseconds = models.PositiveIntegerField(help_text="How long it took.")
    failed = models.BooleanField()
    said = models.CharField(max_length=200, help_text="What it did, or why it failed.")

    def __str__(self) -> str:
        return f"{self.name}: {self.said}"
