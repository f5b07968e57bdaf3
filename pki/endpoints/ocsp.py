"""`POST /ocsp` and `GET /ocsp/<base64>`: whether a certificate still stands (RFC 6960 A, RFC 5019).

An OCSP error goes out with 200 as well: it is an OCSP response, and HTTP has done its part (RFC 6960 A.2).
What is no OCSP over HTTP at all is a problem.
"""

import hashlib
import logging
from datetime import datetime

from cryptography.x509.ocsp import OCSPResponseStatus
from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from pki.core import ocsp
from pki.endpoints import bodies, versions
from pki.endpoints.openapi import operations
from pki.endpoints.openapi.operations import Body, Operation, described
from pki.endpoints.problems import PreconditionFailed, UnsupportedMediaType, endpoint
from pki.endpoints.versions import Version
from pki.keystore import KeystoreError
from pki.services.complaints import COMPLAINTS, reason
from pki.services.publishing import ocsp_answers
from pki.services.publishing.ocsp_answers import Answer

log = logging.getLogger("hatchery.ocsp")

REQUEST = "application/ocsp-request"
RESPONSE = "application/ocsp-response"


_SIGNED = operations.Answer("An OCSP response, DER: an OCSP error too (RFC 6960 A.2).", RESPONSE)
_SUMMARY = "Whether a certificate still stands (RFC 6960)."


@described(
    Operation(
        _SUMMARY,
        (_SIGNED,),
        refusals=(UnsupportedMediaType,),
        body=Body("An OCSP request for one certificate, DER.", REQUEST),
    )
)
@endpoint("POST")
def post(request: HttpRequest) -> HttpResponse:
    if request.content_type != REQUEST:
        raise UnsupportedMediaType(f"Send an OCSP request, DER, as {REQUEST}.")
    bodies.require_readable(request, "An OCSP request", ocsp.LARGEST_REQUEST)
    return _uncached(_answer(request.body, timezone.now()))


@described(
    Operation(
        _SUMMARY,
        (_SIGNED, versions.NOT_MODIFIED),
        refusals=(PreconditionFailed,),
        parameters={"encoded": "An OCSP request, DER, base64 (RFC 6960 A.1)."},
    )
)
@endpoint("GET")
def get(request: HttpRequest, encoded: str) -> HttpResponse:
    now = timezone.now()
    answer = _answer(encoded, now)
    if not isinstance(answer, Answer) or not answer.reusable:
        return _uncached(answer)
    version = Version(
        tag=hashlib.sha256(answer.der).hexdigest(),
        changed_at=answer.this_update,
        content_type=RESPONSE,
        max_age=settings.PORTAL_STATUS_MAX_AGE,
        ends_at=answer.next_update,
        by_date=False,
    )
    return versions.answer(request, version, lambda: answer.der, now)


def _answer(asked: bytes | str, now: datetime) -> Answer | OCSPResponseStatus:
    """The answer to a request, DER, or to a GET's path; or the error."""
    try:
        return ocsp_answers.answer(ocsp.from_path(asked) if isinstance(asked, str) else asked, now)
    except ocsp.OcspRefused as refused:
        return refused.status
    except (DatabaseError, KeystoreError) as error:
        COMPLAINTS.say(log, "OCSP requests are answered with tryLater", reason(error))
        return OCSPResponseStatus.TRY_LATER
    except Exception:
        log.exception("An OCSP request failed")
        return OCSPResponseStatus.INTERNAL_ERROR


def _uncached(answer: Answer | OCSPResponseStatus) -> HttpResponse:
    der = answer.der if isinstance(answer, Answer) else ocsp.error(answer)
    response = HttpResponse(der, content_type=RESPONSE)
    response["Cache-Control"] = "no-store"
    return response
