"""`GET /hello`: the server proves itself."""

from django.http import HttpRequest, JsonResponse

from pki.endpoints.problems import endpoint


@endpoint("GET")
def hello(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"message": "Hello from TLS server", "auth": "server-only (one-way TLS)"})
