"""The WSGI application: each request goes to its listener's URLconf."""

import os
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup(set_prefix=False)

from django.core.handlers.exception import convert_exception_to_response  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.http.response import HttpResponseBase  # noqa: E402

from pki.endpoints import forwarding, recording  # noqa: E402
from pki.endpoints.listeners import listener_of  # noqa: E402
from pki.endpoints.problems import answered  # noqa: E402


class ConsoleHandler(WSGIHandler):
    """Django with the console's middleware."""

    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = super().get_response(request)
        recording.not_believed(request)
        return response


class DeviceHandler(WSGIHandler):
    """Django without middleware, for the listeners that devices and relying parties reach.

    They use no sessions, cookies or forms; measured, the console's middleware would cost each of their
    requests more than its own work.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        answer: Any = convert_exception_to_response(self._get_response)  # type: ignore[attr-defined]

        def logged(request: HttpRequest) -> HttpResponseBase:
            response: HttpResponseBase = answer(request)
            # What failed was logged where it failed. Django would add a line for each 5xx: anybody could
            # fill the log with a list that cannot be had.
            response._has_been_logged = True  # type: ignore[attr-defined]
            return response

        self._middleware_chain = logged

    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        listener = listener_of(request.META)
        # Deny by default: a request from nowhere finds nothing.
        request.urlconf = listener.urlconf if listener else "portal.urls.nowhere"
        response = answered(request, lambda: self._let_in(request))
        recording.not_believed(request)
        if response.status_code == HTTPStatus.NOT_MODIFIED:
            # RFC 9110 8.6: a length would be that of what the client has.
            return response
        if isinstance(response, HttpResponse) and "Content-Length" not in response:
            response["Content-Length"] = str(len(response.content))
        return response

    def _let_in(self, request: HttpRequest) -> HttpResponseBase:
        forwarding.at_the_door(request)
        return super().get_response(request)


_console = ConsoleHandler()
_devices = DeviceHandler()


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    listener = listener_of(environ)
    if listener is not None:
        environ["wsgi.url_scheme"] = listener.scheme
    forwarding.take(environ)
    handler = _console if listener is not None and listener.name == "console" else _devices
    answer: Iterable[bytes] = handler(environ, start_response)
    if environ["REQUEST_METHOD"] == "HEAD" and isinstance(answer, HttpResponse):
        # Its headers, with the length that a GET has, are given already. gunicorn drops a body too, but
        # with a warning for each request.
        answer.content = b""
    return answer
