"""The WSGI application: each request goes to its listener's URLconf."""

import os
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup(set_prefix=False)

from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.http.response import HttpResponseBase  # noqa: E402
from django.urls import Resolver404, get_resolver, set_urlconf  # noqa: E402

from pki.endpoints import forwarding, measuring, recording  # noqa: E402
from pki.endpoints.listeners import listener_of  # noqa: E402
from pki.endpoints.problems import answered, not_found  # noqa: E402


class ConsoleHandler(WSGIHandler):
    """Django with the console's middleware."""

    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        return measuring.watched(request, self._answered)

    def _answered(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = super().get_response(request)
        recording.not_believed(request)
        return response


class DeviceHandler(WSGIHandler):
    """Django's requests, addresses and responses, and nothing between them, for the listeners that devices
    and relying parties reach.

    They use no sessions, cookies, forms or templates, and `endpoint` answers what fails. Measured, the
    console's middleware would cost each of their requests more than its own work, and so would what
    Django's own handler looks for at each: signals, coroutines, transactions around views.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        self._middleware_chain = self.get_response

    def __call__(  # type: ignore[override]  # what WSGI asks for, and no more
        self, environ: dict[str, Any], start_response: Any
    ) -> Iterable[bytes]:
        request = self.request_class(environ)
        response = self.get_response(request)
        start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
        # Its headers have the length that a GET has.
        return () if request.method == "HEAD" else (response.content,)

    def get_response(self, request: HttpRequest) -> HttpResponse:
        listener = listener_of(request.META)
        # Deny by default: a request from nowhere finds nothing.
        request.urlconf = listener.urlconf if listener else "portal.urls.nowhere"
        set_urlconf(request.urlconf)
        response = measuring.watched(request, self._answered)
        # RFC 9110 8.6: with a 304 a length would be that of what the client has.
        if response.status_code != HTTPStatus.NOT_MODIFIED and "Content-Length" not in response.headers:
            response.headers["Content-Length"] = str(len(response.content))
        return response

    def _answered(self, request: HttpRequest) -> HttpResponse:
        response = answered(lambda: self._let_in(request))
        recording.not_believed(request)
        return response

    def _let_in(self, request: HttpRequest) -> HttpResponse:
        forwarding.at_the_door(request)
        try:
            request.resolver_match = found = get_resolver(request.urlconf).resolve(request.path_info)
        except Resolver404:
            return not_found()
        response: HttpResponse = found.func(request, *found.args, **found.kwargs)
        return response


_console = ConsoleHandler()
_devices = DeviceHandler()


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    listener = listener_of(environ)
    if listener is not None:
        environ["wsgi.url_scheme"] = listener.scheme
    forwarding.take(environ)
    if listener is None or listener.name != "console":
        return _devices(environ, start_response)
    answer: Iterable[bytes] = _console(environ, start_response)
    if environ["REQUEST_METHOD"] == "HEAD" and isinstance(answer, HttpResponse):
        # Its headers, with the length that a GET has, are given already. gunicorn drops a body too, but
        # with a warning for each request.
        answer.content = b""
    return answer
