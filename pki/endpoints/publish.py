"""The status listener: what relying parties fetch over plain HTTP, because it is signed itself."""

from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse

from pki.endpoints.problems import NotFound, endpoint
from pki.models import Issuer

# A CA certificate never changes, but it may be withdrawn.
CA_MAX_AGE = 86400  # seconds


@endpoint("GET")
def ca_certificate(request: HttpRequest, key_identifier: str) -> HttpResponse:
    """An issuer's certificate, DER, where caIssuers points (RFC 5280 4.2.2.1)."""
    der = (
        Issuer.objects.filter(key_identifier=key_identifier).values_list("certificate_der", flat=True).first()
    )
    if der is None:
        raise NotFound("There is no such issuer.")
    response = HttpResponse(bytes(der), content_type="application/pkix-cert")
    response["Cache-Control"] = f"public, max-age={CA_MAX_AGE}"
    return response


@endpoint("GET")
def healthz(request: HttpRequest) -> JsonResponse:
    """200 if this process answers and reaches its database; 503 if it does not."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"status": "ok"})
