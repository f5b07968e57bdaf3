"""`GET /hello`: the server proves itself."""

from django.http import HttpRequest, JsonResponse

from pki.endpoints.openapi.operations import Answer, Operation, described, record
from pki.endpoints.problems import endpoint

_MESSAGE = "Hello from TLS server"
_AUTH = "server-only (one-way TLS)"


@described(
    Operation(
        "The server proves itself.",
        (
            Answer(
                "Always the same.",
                schema=record(message={"const": _MESSAGE}, auth={"const": _AUTH}),
            ),
        ),
    )
)
@endpoint("GET")
def hello(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"message": _MESSAGE, "auth": _AUTH})
