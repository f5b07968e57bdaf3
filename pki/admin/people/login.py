"""The login page: by password, or by the certificate that the connection shows; and being locked out."""

from datetime import datetime
from typing import Any, cast

from cryptography import x509
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth import login as begin_session
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from pki.services.people import lockout, logins

_KEY = "login_key"  # in the session: SPKI (SHA-256) of the key that began it
_SHOWN = "_client_certificate"  # of the request


def show_certificate(request: HttpRequest, certificate: x509.Certificate | None) -> None:
    """Note which client certificate a request's connection showed in its handshake."""
    setattr(request, _SHOWN, certificate)


def _shown(request: HttpRequest) -> x509.Certificate | None:
    return cast("x509.Certificate | None", getattr(request, _SHOWN, None))


def begun_by(request: HttpRequest) -> str:
    """The key, SHA-256 of its SPKI, that began this session; empty if a password did."""
    return str(request.session.get(_KEY, ""))


def still_proven(request: HttpRequest, now: datetime) -> None:
    """Raises NoLogin unless the connection shows the key that began this session, and it is still good."""
    key = logins.proven(_shown(request), now)
    if key.spki_sha256 != begun_by(request) or key.user_id != request.user.pk:
        raise logins.NoLogin("Your browser shows another client certificate than the one you logged in with.")


@never_cache
def page(request: HttpRequest) -> HttpResponse:
    """Django's login page, with a button for who shows a certificate."""
    certificate = _shown(request)
    context: dict[str, Any] = {"certificate_login": settings.PORTAL_CONSOLE_CLIENT_CERTIFICATES}
    if certificate is not None:
        try:
            context["login_key"] = logins.proven(certificate, timezone.now())
        except logins.NoLogin as refusal:
            context["no_login"] = refusal.detail
    return admin.site.login(request, extra_context=context)


@never_cache
@require_POST
def by_certificate(request: HttpRequest) -> HttpResponse:
    """Begin a session for the user whose key the connection shows."""
    wanted = request.POST.get(REDIRECT_FIELD_NAME, "")
    try:
        key = logins.proven(_shown(request), timezone.now())
    except logins.NoLogin as refusal:
        messages.error(request, refusal.detail)
        return HttpResponseRedirect(reverse("admin:login"))
    begin_session(request, key.user, backend="django.contrib.auth.backends.ModelBackend")
    request.session[_KEY] = key.spki_sha256
    allowed = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=True)
    return HttpResponseRedirect(wanted if allowed else reverse("admin:index"))


def locked_out(
    request: HttpRequest, response: HttpResponse | None, credentials: dict[str, Any] | None = None
) -> HttpResponse:
    """What axes answers to who is locked out, whether the name they gave is one or not."""
    until, now = lockout.locked_until(request, credentials), timezone.now()
    answer = TemplateResponse(
        request,
        "console/locked_out.html",
        {**admin.site.each_context(request), "title": "Locked out", "until": until},
        status=429,  # RFC 6585 4
    )
    answer["Retry-After"] = str(max(1, int((until - now).total_seconds()) + 1))
    return answer.render()


urls: list[URLPattern] = [
    path("login/", page),
    path("login/certificate/", by_certificate, name="login_by_certificate"),
]
