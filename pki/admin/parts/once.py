"""A form that is answered once: reloading what came of it does not do it again in silence."""

import secrets
from contextlib import AbstractContextManager

from django import forms
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.utils import timezone

from pki.services.people import answers


class OnceForm(forms.Form):
    """Carries a number of its own; what it does is done inside `answering`."""

    once = forms.CharField(max_length=64, widget=forms.HiddenInput, initial=secrets.token_urlsafe)


def answering(request: HttpRequest, once: str) -> AbstractContextManager[None]:
    """The transaction in which a form is answered. Raises AnsweredAlready the second time."""
    if not isinstance(request.user, User):
        raise TypeError("The console has no anonymous pages.")
    return answers.answering(request.user, once, timezone.now())
