"""The console's answer to what failed; those of devices' listeners are in `pki.endpoints.problems`."""

import logging
import sys
from http import HTTPStatus

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views.defaults import server_error

from pki.services.complaints import COMPLAINTS, OUR_MISTAKES, reason

log = logging.getLogger("hatchery.console")

_RETRY_AFTER = "60"  # seconds


def console_failed(request: HttpRequest) -> HttpResponse:
    """handler500 of the console: 503 while the database cannot be used or takes no writes."""
    error = sys.exc_info()[1]
    if not isinstance(error, DatabaseError) or isinstance(error, OUR_MISTAKES):
        return server_error(request)
    COMPLAINTS.say(log, "The console answers with 503", reason(error))
    page = render_to_string("503.html")
    response = HttpResponse(
        page, status=HTTPStatus.SERVICE_UNAVAILABLE, headers={"Retry-After": _RETRY_AFTER}
    )
    # It was, in one line: Django would add a traceback each time.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response
