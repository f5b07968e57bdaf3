"""Answering a form once, however often and however fast it is sent."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User

from pki.core.errors import Refusal
from pki.models import FormAnswered
from pki.services.transactions import writing


class AnsweredAlready(Refusal):
    """The same form was sent twice: by reloading the page, by going back, or by two clicks."""

    code = "answered_already"


@contextmanager
def answering(user: User, number: str, now: datetime) -> Iterator[None]:
    """A transaction in which a user's form of this number is answered, for the first time and the last.

    What is refused inside was not answered, and may be sent again. Raises AnsweredAlready.
    """
    digest = hashlib.sha256(f"{user.pk}:{number}".encode()).hexdigest()
    with writing():
        # Nobody is logged in for so long that they could send an older one again.
        longest = 2 * timedelta(seconds=settings.SESSION_COOKIE_AGE)
        FormAnswered.objects.filter(at__lt=now - longest).delete()
        # Of many at once, the unique column lets one in; the others wait for its transaction to end.
        _, first = FormAnswered.objects.get_or_create(digest=digest, defaults={"at": now})
        if not first:
            raise AnsweredAlready(
                "This was done already, and what it showed is shown once. Start again if you want more."
            )
        yield
