"""What destroys something needs a recent login: a console that was left open must not be enough."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils import timezone
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldBooleanWidget

from pki.admin.people import login
from pki.services.people import logins

_AT = "proved_at"  # in the session: when its user last proved who they are, seconds since 1970
# Fields that prove it again.
_PASSWORD, _CERTIFICATE = "password_again", "certificate_again"


@receiver(user_logged_in)
def remember(request: HttpRequest, **_: Any) -> None:
    """Note in the session that its user has just proved who they are."""
    request.session[_AT] = timezone.now().timestamp()


def is_recent(request: HttpRequest) -> bool:
    """Whether the user logged in, or proved it again, a short while ago."""
    age = timezone.now().timestamp() - request.session.get(_AT, 0.0)
    return bool(0 <= age <= settings.PORTAL_RECENT_LOGIN_SECONDS)


def prove(request: HttpRequest, field: str, answer: Any) -> Any:
    """What a form that proves it again keeps of the answer to one of its fields; the login is recent then.

    Wrong passwords count towards the lockout, as at the login. Raises ValidationError.
    """
    if field == _PASSWORD:
        require_password(request, answer)
    else:
        try:
            login.still_proven(request, timezone.now())
        except logins.NoLogin as refusal:
            raise forms.ValidationError(refusal.detail) from refusal
    remember(request)
    return None  # nobody needs it any more


def require_password(request: HttpRequest, password: str) -> None:
    """Raises ValidationError if it is not the user's own; who guesses is locked out, as at the login."""
    user = request.user
    found = (
        authenticate(request, username=user.get_username(), password=password)
        if isinstance(user, User)
        else None
    )
    if found is None or found.pk != user.pk:
        raise forms.ValidationError("This is not your password.")


def prove_again_form(request: HttpRequest, data: Any = None) -> forms.Form:
    """Asks for the password, or for the certificate of who has one and no password."""
    user = request.user
    if login.begun_by(request) and isinstance(user, User) and not user.has_usable_password():
        return CertificateAgainForm(request, data)
    return PasswordAgainForm(request, data)


class PasswordAgainForm(forms.Form):
    """Asks for the password again."""

    password_again = forms.CharField(
        label="Your password",
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "current-password"}),
        strip=False,
        help_text="You logged in a while ago, and this cannot be taken back lightly.",
    )

    def __init__(self, request: HttpRequest, data: Any = None) -> None:
        super().__init__(data)
        self._request = request

    def clean_password_again(self) -> Any:
        return prove(self._request, _PASSWORD, self.cleaned_data[_PASSWORD])


class CertificateAgainForm(forms.Form):
    """Asks whether it is still who logged in with a certificate, which this connection must show.

    It is as good as the lock of the screen behind which the certificate is: a browser shows it by itself.
    """

    certificate_again = forms.BooleanField(
        label="Prove it with my certificate",
        widget=UnfoldBooleanWidget,
        help_text="You logged in a while ago, and this cannot be taken back lightly.",
    )

    def __init__(self, request: HttpRequest, data: Any = None) -> None:
        super().__init__(data)
        self._request = request

    def clean_certificate_again(self) -> Any:
        return prove(self._request, _CERTIFICATE, self.cleaned_data[_CERTIFICATE])
