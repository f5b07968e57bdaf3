"""Changing one's own password: who guesses the old one is locked out, and the change is on record."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.views import PasswordChangeView
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse_lazy
from django.utils import timezone
from unfold.forms import AdminOwnPasswordChangeForm

from pki.admin.parts import recent_login
from pki.admin.parts.asking import administrator
from pki.services import audit
from pki.services.transactions import writing


class OwnPasswordForm(AdminOwnPasswordChangeForm):  # type: ignore[misc]  # unfold has no types
    """Django's, which would let the old password be guessed for ever."""

    def __init__(self, *args: Any, request: HttpRequest, **options: Any) -> None:
        super().__init__(*args, **options)
        self._request = request

    def clean_old_password(self) -> str:
        old: str = self.cleaned_data["old_password"]
        recent_login.require_password(self._request, old)
        return old


class OwnPasswordView(PasswordChangeView):
    form_class = OwnPasswordForm
    success_url = reverse_lazy("admin:password_change_done")

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "request": self.request}

    def get_context_data(self, **more: Any) -> dict[str, Any]:
        return super().get_context_data(**{**admin.site.each_context(self.request), **more})

    def form_valid(self, form: Any) -> HttpResponse:
        with writing():
            response = super().form_valid(form)
            audit.record(
                "password.changed",
                administrator(self.request),
                timezone.now(),
                user=self.request.user.get_username(),
            )
        recent_login.remember(self.request)
        return response


def page(request: HttpRequest) -> HttpResponseBase:
    """Where who is logged in changes their password."""
    request.current_app = admin.site.name
    return OwnPasswordView.as_view()(request)


urls: list[URLPattern] = [
    # Django's name leads here too: it has the same path.
    path("password_change/", admin.site.admin_view(page, cacheable=True)),
]
