"""Answers that relying parties and the caches between keep, and ask after: ETag, Last-Modified, 304."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response
from django.utils.http import http_date, quote_etag


@dataclass(frozen=True)
class Version:
    """What something is at this moment, without its bytes."""

    tag: str  # never that of other bytes: a strong ETag (RFC 9110 8.8.3)
    changed_at: datetime
    content_type: str
    max_age: int  # seconds for which a cache may hand it out without asking
    ends_at: datetime | None = None  # no cache hands it out after this
    # Whether If-Modified-Since is answered with 304; its seconds do not tell apart what is made anew at once.
    by_date: bool = True


def answer(
    request: HttpRequest, version: Version, content: Callable[[], bytes], now: datetime
) -> HttpResponse:
    """What was asked for, or 304 if the client has it (RFC 9110 13), without a look at the bytes."""
    etag = quote_etag(version.tag)
    changed_at = int(version.changed_at.timestamp())
    response: HttpResponse | None = get_conditional_response(
        request, etag, changed_at if version.by_date else None
    )
    if response is None:
        response = _whole(request, content())
        response["Content-Type"] = version.content_type
    max_age = version.max_age
    if version.ends_at is not None:
        max_age = max(0, min(max_age, int((version.ends_at - now).total_seconds())))
    response["ETag"] = etag
    response["Last-Modified"] = http_date(changed_at)
    response["Cache-Control"] = f"public, no-transform, must-revalidate, max-age={max_age}"
    response["Expires"] = http_date(now.timestamp() + max_age)
    return response


def _whole(request: HttpRequest, content: bytes) -> HttpResponse:
    # Nothing after this takes the body of a HEAD away.
    response = HttpResponse(b"" if request.method == "HEAD" else content)
    response["Content-Length"] = str(len(content))
    return response
