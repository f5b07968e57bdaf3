"""`POST /sign-csr` and `GET /enrollments/<id>`: a device gets its first certificate."""

import re
import uuid

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils import timezone

from pki.core import csr
from pki.core.errors import Refusal
from pki.endpoints import bodies
from pki.endpoints.peer import address
from pki.endpoints.problems import NotFound, endpoint
from pki.endpoints.versions import PEM
from pki.models import EnrollmentRequest
from pki.services.enrolling import enrollment, lost_answers
from pki.services.issuing.issuance import Issued

ASK_AGAIN = 30  # seconds

# RFC 6750 2.1
_BEARER = re.compile(r"Bearer +([A-Za-z0-9._~+/-]+=*) *", re.IGNORECASE)


def _keep(request: HttpRequest, refusal: Refusal) -> Refusal:
    return enrollment.refuse(refusal, address(request), timezone.now())


@endpoint("POST", keep=_keep)
def sign_csr(request: HttpRequest) -> HttpResponse:
    try:
        bodies.require_readable(request, "A CSR", csr.LARGEST_CSR)
    except Refusal as refusal:
        raise _keep(request, refusal) from None
    outcome = enrollment.enroll(request.body, _token(request), address(request), timezone.now())
    return as_pem(outcome) if isinstance(outcome, Issued) else _wait(outcome)


@endpoint("GET")
def ask_again(request: HttpRequest, request_id: uuid.UUID) -> HttpResponse:
    """The place to ask again after a 202. Its address is a secret of 122 random bits."""
    found = (
        EnrollmentRequest.objects.select_related("certificate__issuer__parent", "device")
        .filter(pk=request_id)
        .exclude(state=EnrollmentRequest.State.REFUSED)
        .first()
    )
    if found is None:
        raise NotFound("There is no such enrollment.")
    if found.state == EnrollmentRequest.State.WAITING:
        return _wait(found)
    if found.state == EnrollmentRequest.State.REJECTED:
        raise enrollment.EnrollmentRejected(found.reason)
    return as_pem(lost_answers.given_again(found, timezone.now()))


def _token(request: HttpRequest) -> str | None:
    header = request.META.get("HTTP_AUTHORIZATION", "")
    match = _BEARER.fullmatch(header)
    if match is not None:
        return match[1]
    # A header that is there but holds no token is a wrong token, not a missing one.
    return "" if header else None


def as_pem(issued: Issued) -> HttpResponse:
    """The answer with a certificate and its chain."""
    response = HttpResponse(issued.pem, content_type=PEM)
    response["Cache-Control"] = "no-store"
    return response


def _wait(waiting: EnrollmentRequest) -> HttpResponse:
    response = JsonResponse(
        {
            "state": "waiting",
            "detail": "An administrator must approve this enrollment; ask again at the Location.",
        },
        status=202,
    )
    response["Location"] = reverse("enrollment", args=[waiting.pk])
    response["Retry-After"] = str(ASK_AGAIN)
    response["Cache-Control"] = "no-store"
    return response
