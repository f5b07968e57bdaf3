"""Forms that are answered once."""

from django.db import models


class FormAnswered(models.Model):
    """A form of the console that was answered; kept for as long as somebody could send it again."""

    digest = models.CharField("SHA-256 of the user and the form's own number", max_length=64, unique=True)
    at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"answered at {self.at}"
