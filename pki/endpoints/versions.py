"""Answers that relying parties and the caches between keep, and ask after: ETag, Last-Modified, 304."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response
from django.utils.http import http_date as _http_date
from django.utils.http import quote_etag

from pki.endpoints.openapi.operations import Answer
from pki.endpoints.problems import PreconditionFailed

PEM = "application/x-pem-file"

# The same few moments are written again and again.
http_date = lru_cache(maxsize=1000)(_http_date)

NOT_MODIFIED = Answer(
    "There is what the client has, by its If-None-Match or If-Modified-Since.",
    None,
    status=HTTPStatus.NOT_MODIFIED,
)


def tag_of(fingerprints: Iterable[str]) -> str:
    """A tag of things together, in this order, by their fingerprints (SHA-256, hex)."""
    return hashlib.sha256("".join(fingerprints).encode()).hexdigest()


@dataclass(frozen=True)
class Version:
    """What something is at this moment, without its bytes."""

    tag: str  # never that of other bytes: a strong ETag (RFC 9110 8.8.3)
    changed_at: datetime
    content_type: str
    max_age: int  # seconds for which a cache may hand it out without asking
    ends_at: datetime | None = None  # no cache hands it out after this
    # Whether If-Modified-Since may be answered with 304: not if two versions may change in one second.
    by_date: bool = True


def answer(
    request: HttpRequest, version: Version, content: Callable[[], bytes], now: datetime
) -> HttpResponse:
    """What was asked for, or 304 if the client has it (RFC 9110 13), without a look at the bytes.

    Raises PreconditionFailed.
    """
    etag = quote_etag(version.tag)
    response: HttpResponse | None = get_conditional_response(request, etag, _as_asked(request, version))
    if response is None:
        response = HttpResponse(content(), content_type=version.content_type)
    elif response.status_code == HTTPStatus.PRECONDITION_FAILED:
        raise PreconditionFailed("What is here is not what If-Match or If-Unmodified-Since asks for.")
    max_age = version.max_age
    if version.ends_at is not None:
        max_age = max(0, min(max_age, int((version.ends_at - now).total_seconds())))
    response["ETag"] = etag
    response["Last-Modified"] = http_date(int(version.changed_at.timestamp()))
    response["Cache-Control"] = f"public, no-transform, must-revalidate, max-age={max_age}"
    response["Expires"] = http_date(int(now.timestamp()) + max_age)
    return response


def _as_asked(request: HttpRequest, version: Version) -> int | None:
    """When it changed, in seconds; of If-Modified-Since only if that is exactly what the client has.

    A list says that it is some seconds older than it is. If a later moment were enough, who asks with the
    time at which it fetched the last one (`curl -z file`) would be told that nothing has changed, and miss
    a revocation.
    """
    changed_at = int(version.changed_at.timestamp())
    # Not request.headers, which is made of all that came, at each request.
    since = request.META.get("HTTP_IF_MODIFIED_SINCE")
    if since is None:
        return changed_at  # for If-Unmodified-Since
    exactly = since == http_date(changed_at)
    return changed_at if exactly and version.by_date else None
