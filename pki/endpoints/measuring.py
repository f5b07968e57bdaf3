"""Each request is given its name, counted by where it went, and logged if that is wanted."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from http import HTTPStatus
from typing import Any, TypeVar

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from pki.core.errors import Refusal
from pki.endpoints import forwarding, problems, request_ids
from pki.endpoints.listeners import Listener, handed_over, listener_of
from pki.endpoints.openapi.paths import paths
from pki.services.measuring import counted
from pki.services.measuring.families import OTHER, Labels

log = logging.getLogger("hatchery.request")

# The console's pages are one endpoint, and what they load another.
CONSOLE = "console"
PAGES, STATIC = "/admin/", "/static/"
STATUSES = {status: f"{status // 100}xx" for status in range(100, 600)}

Response = TypeVar("Response", bound=HttpResponseBase)


def watched(request: HttpRequest, answer: Callable[[HttpRequest], Response]) -> Response:
    """What is answered, with the request's name; counted and timed."""
    began = handed_over(request.META) or time.perf_counter()
    with request_ids.Named() as name:
        response = answer(request)
        response.headers[request_ids.HEADER] = name
        listener = listener_of(request.META)
        if listener is not None:
            _note(request, response, listener, time.perf_counter() - began)
    return response


def _note(request: HttpRequest, response: HttpResponseBase, listener: Listener, seconds: float) -> None:
    endpoint = _endpoint(request, listener)
    counted.REQUESTS.count(listener.name, endpoint, STATUSES.get(response.status_code, OTHER))
    counted.SECONDS.note(seconds, listener.name, endpoint)
    code = (
        response.headers.get("Hatchery-Reason", "") if response.status_code >= HTTPStatus.BAD_REQUEST else ""
    )
    if code:
        counted.REFUSALS.count(code)
    if settings.PORTAL_LOG_REQUESTS:
        _write_line(request, response, listener, endpoint, code, seconds)


def _write_line(
    request: HttpRequest,
    response: HttpResponseBase,
    listener: Listener,
    endpoint: str,
    code: str,
    seconds: float,
) -> None:
    # Not the path that was asked for: some are secrets, and all may hold anything.
    fields = {
        "listener": listener.name,
        "method": request.method if request.method in METHODS else OTHER,
        "endpoint": endpoint,
        "status": response.status_code,
        "code": code,
        "milliseconds": round(seconds * 1000, 1),
        "address": forwarding.client_address(request),
        "offered_id": request_ids.offered(request),
    }
    _say(fields)


def _say(fields: Mapping[str, Any]) -> None:
    said = {key: value for key, value in fields.items() if value not in (None, "")}
    log.info(" ".join(f"{key}={value}" for key, value in said.items()), extra={"fields": said})


METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})


def _endpoint(request: HttpRequest, listener: Listener) -> str:
    match = request.resolver_match
    if listener.name == CONSOLE:
        if match is not None:
            return PAGES
        return STATIC if request.path_info.startswith(STATIC) else OTHER
    return OTHER if match is None else templates(listener.urlconf).get(match.route, OTHER)


@cache
def templates(urlconf: str) -> dict[str, str]:
    """The addresses of a listener: each route as Django has it → as the OpenAPI document writes it."""
    return {path.route: path.template for path in paths(urlconf)}


def labels(listeners: Iterable[Listener]) -> Iterator[Labels]:
    """Each listener with each of its endpoints."""
    for listener in listeners:
        known = [PAGES, STATIC] if listener.name == CONSOLE else templates(listener.urlconf).values()
        for endpoint in (*dict.fromkeys(known), OTHER):
            yield listener.name, endpoint


def codes() -> set[str]:
    """Every code of a problem that a listener can answer."""
    return {*problems.WITHOUT_A_KIND, *(kind.code for kind in _below(Refusal))}


def _below(kind: type[Refusal]) -> Iterator[type[Refusal]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _below(each)


def too_early(status: HTTPStatus, code: str, listener: Listener, address: str) -> None:
    """Count a request that was refused before it reached Django, and log it if that is wanted."""
    counted.REQUESTS.count(listener.name, OTHER, STATUSES[status])
    counted.REFUSALS.count(code)
    if settings.PORTAL_LOG_REQUESTS:
        where = {"listener": listener.name, "endpoint": OTHER}
        _say(where | {"status": status.value, "code": code, "address": address})
