"""`POST /sign-csr` and `GET /enrollments/<id>`: a device gets its first certificate."""

import re
import uuid
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils import timezone

from pki.core import certificates, csr, keys, names, profiles
from pki.core.errors import Refusal
from pki.endpoints import bodies
from pki.endpoints.openapi.operations import TEXT, TOKEN, Answer, Body, Operation, described, record
from pki.endpoints.peer import address
from pki.endpoints.problems import NotFound, endpoint
from pki.endpoints.versions import PEM
from pki.models import EnrollmentRequest
from pki.services import limits
from pki.services.enrolling import enrollment, lost_answers, tokens
from pki.services.fleet import devices
from pki.services.issuing import issuance
from pki.services.issuing.issuance import Issued
from pki.services.proving import status

ASK_AGAIN = 30  # seconds

# RFC 6750 2.1
_BEARER = re.compile(r"Bearer +([A-Za-z0-9._~+/-]+=*) *", re.IGNORECASE)


CSR = Body("A CSR (PKCS#10, RFC 2986), PEM, whatever the type says.", PEM)
AS_PEM = Answer("The certificate, then its chain without the root, PEM.", PEM)
# What a CSR may be refused for, and what stands against a certificate for it.
CSR_REFUSALS: tuple[type[Refusal], ...] = (
    csr.CsrMissing,
    csr.CsrTooLarge,
    csr.CsrNotPem,
    csr.CsrWrongLabel,
    csr.PrivateKeySent,
    csr.CsrMalformed,
    csr.CsrForged,
    keys.KeyRefused,
    names.NameRefused,
    profiles.NameMismatch,
    profiles.SanMissing,
    certificates.IssuerExpired,
    issuance.IssuerInactive,
    issuance.IssuerNotYetValid,
    issuance.DeviceInactive,
    issuance.KeyCompromised,
    issuance.KeyInUse,
    issuance.KeyNotNew,
)
_GIVEN_AGAIN: tuple[type[Refusal], ...] = (
    lost_answers.CertificateRevoked,
    lost_answers.CertificateExpired,
    status.CompromisedIssuer,
    issuance.DeviceInactive,
)
_WAITING = Answer(
    "An administrator must approve it.",
    schema=record(state={"const": "waiting"}, detail=TEXT),
    status=HTTPStatus.ACCEPTED,
    headers={"Location": "Where to ask again.", "Retry-After": "After how many seconds."},
)


def _keep(request: HttpRequest, refusal: Refusal) -> Refusal:
    return enrollment.refuse(refusal, address(request), timezone.now())


@described(
    Operation(
        "A device gets its first certificate.",
        (AS_PEM, _WAITING),
        refusals=(
            *CSR_REFUSALS,
            *_GIVEN_AGAIN,
            devices.DeviceExists,
            enrollment.NameMissing,
            enrollment.AlreadyEnrolled,
            enrollment.EnrollmentRejected,
            enrollment.TooManyWaiting,
            tokens.TokenMissing,
            tokens.TokenInvalid,
            tokens.NameNotAllowed,
            limits.TooManyFailures,
            limits.TooManyWithoutToken,
        ),
        description="The same token with the same key gets the same answer again, so that a lost one heals.",
        body=CSR,
        security=(TOKEN,),
        # Where a profile's policy is approval, or open.
        anonymous=True,
    )
)
@endpoint("POST", keep=_keep)
def sign_csr(request: HttpRequest) -> HttpResponse:
    try:
        bodies.require_readable(request, "A CSR", csr.LARGEST_CSR)
    except Refusal as refusal:
        raise _keep(request, refusal) from None
    outcome = enrollment.enroll(request.body, _token(request), address(request), timezone.now())
    return as_pem(outcome) if isinstance(outcome, Issued) else _wait(outcome)


@described(
    Operation(
        "Where to ask again after a 202.",
        (AS_PEM, _WAITING),
        refusals=(NotFound, enrollment.EnrollmentRejected, *_GIVEN_AGAIN),
        parameters={"request_id": "As the Location of the 202 has it: whoever knows it is answered."},
    )
)
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
