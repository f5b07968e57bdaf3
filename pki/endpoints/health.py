"""Whether this process lives, and whether it can do its work: for load balancers, and for who is called."""

from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone

from pki.endpoints.openapi.operations import Answer, Operation, described, record
from pki.endpoints.problems import endpoint
from pki.services.measuring.standing import DATABASE, KEYS, LISTS, Standing
from pki.services.measuring.watch import WATCH

ALIVE = {"status": "ok"}
READY, NOT_READY = "ready", "not ready"
OK, FAILED, UNKNOWN = "ok", "failed", "unknown"

_CHECKS = {
    "type": "object",
    "required": [DATABASE, KEYS, LISTS],
    "additionalProperties": {"enum": [OK, FAILED, UNKNOWN]},
}


@described(
    Operation(
        "Whether this process answers.",
        (Answer("It does.", schema=record(status={"const": ALIVE["status"]})),),
        description="It asks nothing else: the worker answers it though all of its threads wait.",
    )
)
@endpoint("GET")
def healthz(request: HttpRequest) -> JsonResponse:
    """200, without the database: a process that is restarted for a database's sake helps nobody."""
    return JsonResponse(ALIVE)


def _says(word: str) -> dict[str, Any]:
    return record(status={"const": word}, checks=_CHECKS)


@described(
    Operation(
        "Whether this process can do its work.",
        (
            Answer("It can.", schema=_says(READY)),
            Answer(
                "It cannot: a check has failed. The log says why.",
                schema=_says(NOT_READY),
                status=HTTPStatus.SERVICE_UNAVAILABLE,
                headers={"Retry-After": "After how many seconds."},
            ),
        ),
        description="Whether the database takes writes, the keys of the issuers that profiles use open, and "
        "no CRL is past its next update. It is looked at once in five seconds, however often it is asked.",
    )
)
@endpoint("GET")
def readyz(request: HttpRequest) -> HttpResponse:
    """200 or 503, and which check failed; why is in the log alone, for anybody may ask."""
    standing = WATCH.standing(timezone.now())
    ready = not standing.troubles
    response = JsonResponse(
        {"status": READY if ready else NOT_READY, "checks": _checks(standing)},
        status=HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE,
    )
    response["Cache-Control"] = "no-store"
    if not ready:
        response["Retry-After"] = "5"
    return response


def _checks(standing: Standing) -> dict[str, str]:
    return {
        check: FAILED if check in standing.troubles else UNKNOWN if check in standing.unknown else OK
        for check in (DATABASE, KEYS, LISTS)
    }
