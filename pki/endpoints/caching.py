"""Answers that caches between here and the client may keep for a moment (RFC 9111)."""

import hashlib
from datetime import datetime, timedelta
from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.http import http_date, parse_etags

# Kept in a 304 (RFC 9110 15.4.5).
_KEPT = ("Cache-Control", "ETag", "Expires", "Last-Modified")


def cacheable(
    request: HttpRequest, response: HttpResponse, modified_at: datetime, ends_at: datetime, now: datetime
) -> HttpResponse:
    """The answer to a GET with all that caches ask for, or a 304 if the client has it already.

    It is kept for PORTAL_STATUS_MAX_AGE, and never beyond `ends_at`. Only an ETag makes a 304: of two answers
    that were signed in one second, If-Modified-Since would take the first for the second.
    """
    age = max(0, min(settings.PORTAL_STATUS_MAX_AGE, int((ends_at - now).total_seconds())))
    response["Cache-Control"] = f"public, no-transform, must-revalidate, max-age={age}"
    response["Expires"] = http_date((now + timedelta(seconds=age)).timestamp())
    response["Last-Modified"] = http_date(modified_at.timestamp())
    response["ETag"] = etag = f'"{hashlib.sha256(response.content).hexdigest()}"'
    known = parse_etags(request.headers.get("If-None-Match", ""))
    if "*" not in known and etag not in (each.removeprefix("W/") for each in known):
        return response
    unchanged = HttpResponse(status=HTTPStatus.NOT_MODIFIED)
    del unchanged["Content-Type"]
    for name in _KEPT:
        unchanged[name] = response[name]
    return unchanged
