"""`GET /openapi.json`: each listener's own document, for who may speak there at all."""

import json
from functools import cache

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from pki.endpoints.listeners import listener_of
from pki.endpoints.openapi.document import document
from pki.endpoints.openapi.operations import MUTUAL_TLS, Answer, Operation, described
from pki.endpoints.peer import NOT_PROVEN, proven
from pki.endpoints.problems import NotFound, endpoint

_ANSWERS = (Answer("This document.", schema={"type": "object", "required": ["openapi", "info", "paths"]}),)


@described(Operation("What this listener answers, as OpenAPI 3.1.", _ANSWERS))
@endpoint("GET")
def openapi(request: HttpRequest) -> HttpResponse:
    """For everybody, where nobody shows a certificate."""
    return _answer(request)


@described(
    Operation(
        "What this listener answers, as OpenAPI 3.1.",
        _ANSWERS,
        refusals=NOT_PROVEN,
        security=(MUTUAL_TLS,),
    )
)
@endpoint("GET")
def openapi_to_devices(request: HttpRequest) -> HttpResponse:
    """The same where devices show their certificates: for who has one that stands."""
    proven(request, timezone.now())
    return _answer(request)


def _answer(request: HttpRequest) -> HttpResponse:
    listener = listener_of(request.META)
    if listener is None:
        raise NotFound("There is nothing at this address on this port.")
    return HttpResponse(
        written(listener.name, listener.urlconf),
        content_type="application/json",
        headers={"Cache-Control": "no-cache"},
    )


@cache
def written(listener: str, urlconf: str) -> bytes:
    """A listener's document as JSON; it does not change while the process runs."""
    return json.dumps(document(listener, urlconf)).encode()
