"""The console's own middleware; the other listeners' requests pass none."""

from collections.abc import Callable
from http import HTTPStatus

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from pki.admin.people import login
from pki.endpoints.peer import ClientCertificateMissing, peer
from pki.services.people import logins

Next = Callable[[HttpRequest], HttpResponse]

# What the console's pages may load and do; docs/decisions.md says why for each exception.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'unsafe-eval'",  # Alpine compiles the expressions in unfold's templates
        "style-src 'self'",
        "style-src-attr 'unsafe-inline'",  # Alpine writes style attributes
        "img-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
# Django's own middleware sets some of them, but not on what is answered before it.
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": settings.SECURE_REFERRER_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Static files say themselves how long they are kept.
    "Cache-Control": "no-store",
}


class SecurityHeaders:
    """Adds the headers that every answer of the console has, errors and static files too."""

    def __init__(self, get_response: Next) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response


class RefuseNul:
    """Refuses a NUL in an address: no text of ours holds one, and PostgreSQL fails on it."""

    def __init__(self, get_response: Next) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "%00" in request.META.get("QUERY_STRING", "") or "\0" in request.path_info:
            raise BadRequest("The address holds a NUL character.")
        return self._get_response(request)


class RefuseMethods:
    """Refuses methods that no form and no link has: views that know of no methods would take them for GET."""

    METHODS = ("GET", "HEAD", "POST")

    def __init__(self, get_response: Next) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method not in self.METHODS:
            text = "The console answers GET, HEAD and POST."
            return HttpResponseNotAllowed(self.METHODS, text, content_type="text/plain; charset=utf-8")
        return self._get_response(request)


class RefuseLarge:
    """Refuses a body that the console's socket does not take: it is not there to be read.

    Before the CSRF check, which would look for its token in that body and say that cookies are off.
    """

    def __init__(self, get_response: Next) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        sent, most = request.META.get("CONTENT_LENGTH") or "0", settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if sent.isdecimal() and int(sent) > most:
            page = render_to_string("413.html", {"most": f"{most:,}", "sent": f"{int(sent):,}"})
            return HttpResponse(page, status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return self._get_response(request)


class ClientCertificate:
    """Hands the connection's client certificate on, and ends sessions whose certificate is gone.

    A session that a certificate began lasts as long as each request comes with that key, in a certificate
    that stands at that moment.
    """

    def __init__(self, get_response: Next) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            certificate = peer(request).certificate
        except ClientCertificateMissing:
            certificate = None
        login.show_certificate(request, certificate)
        if login.begun_by(request):
            try:
                login.still_proven(request, timezone.now())
            except logins.NoLogin as refusal:
                logout(request)
                messages.error(request, f"You are logged out. {refusal.detail}")
                return HttpResponseRedirect(reverse("admin:login"))
        return self._get_response(request)
