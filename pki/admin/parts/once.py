"""A form that is answered once: reloading what came of it does not do it again in silence."""

import secrets

from django import forms
from django.http import HttpRequest

from pki.core.errors import Refusal

_ANSWERED = "answered"  # in the session: the forms that were answered last
_KEPT = 100


class AnsweredAlready(Refusal):
    """The same form was sent twice: by reloading the page, or by going back."""

    code = "answered_already"


class OnceForm(forms.Form):
    """Carries a number of its own; `require_first` takes each once."""

    once = forms.CharField(max_length=64, widget=forms.HiddenInput, initial=secrets.token_urlsafe)


def require_first(request: HttpRequest, once: str) -> None:
    """Note that a form was answered. Raises AnsweredAlready the second time."""
    answered = request.session.get(_ANSWERED, [])
    if once in answered:
        raise AnsweredAlready(
            "This was done already, and what it showed is shown once. Start again if you want more."
        )
    request.session[_ANSWERED] = [*answered, once][-_KEPT:]
