"""Every refusal as an RFC 9457 problem. This module is the only map from errors to HTTP."""

import json
import logging
import math
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any, TypeVar

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, UnreadablePostError

from pki.core import certificates, chains, csr, forwarded, keys, names, profiles
from pki.core.errors import Refusal
from pki.endpoints.identity_headers import IdentityTooLarge
from pki.endpoints.peer import ClientCertificateMissing
from pki.keystore import KeystoreError
from pki.services import limits
from pki.services.complaints import COMPLAINTS, reason
from pki.services.enrolling import enrollment, lost_answers, tokens
from pki.services.exporting import profile_signing
from pki.services.fleet import devices
from pki.services.issuing import issuance
from pki.services.proving import proxies, status
from pki.services.publishing import publication
from pki.services.renewing import renewal
from pki.services.trusting import bundle, bundle_signatures

log = logging.getLogger("hatchery.endpoint")

Endpoint = Callable[..., HttpResponseBase]
Answer = TypeVar("Answer")


class BodyTooLarge(Refusal):
    """The body was refused by its announced length, unread."""

    code = "body_too_large"


class LengthRequired(Refusal):
    """The body comes without its length."""

    code = "length_required"


class UnsupportedMediaType(Refusal):
    """The body is of another type than is read here."""

    code = "unsupported_media_type"


class NotFound(Refusal):
    """There is nothing at this address."""

    code = "not_found"


class MethodNotAllowed(Refusal):
    """The address knows other methods."""

    code = "method_not_allowed"


class PreconditionFailed(Refusal):
    """The client wants another version than there is (RFC 9110 13.1)."""

    code = "precondition_failed"


_STATUS: dict[type[Refusal], HTTPStatus] = {
    Refusal: HTTPStatus.BAD_REQUEST,
    csr.CsrTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    keys.KeyRefused: HTTPStatus.BAD_REQUEST,
    names.NameRefused: HTTPStatus.BAD_REQUEST,
    profiles.NameMismatch: HTTPStatus.FORBIDDEN,
    profiles.SanMissing: HTTPStatus.BAD_REQUEST,
    certificates.IssuerExpired: HTTPStatus.SERVICE_UNAVAILABLE,
    issuance.IssuerInactive: HTTPStatus.SERVICE_UNAVAILABLE,
    issuance.IssuerNotYetValid: HTTPStatus.SERVICE_UNAVAILABLE,
    issuance.DeviceInactive: HTTPStatus.FORBIDDEN,
    issuance.KeyCompromised: HTTPStatus.FORBIDDEN,
    issuance.KeyInUse: HTTPStatus.FORBIDDEN,
    issuance.KeyNotNew: HTTPStatus.FORBIDDEN,
    devices.DeviceExists: HTTPStatus.FORBIDDEN,
    tokens.TokenMissing: HTTPStatus.UNAUTHORIZED,
    tokens.TokenInvalid: HTTPStatus.UNAUTHORIZED,
    tokens.NameNotAllowed: HTTPStatus.FORBIDDEN,
    enrollment.AlreadyEnrolled: HTTPStatus.FORBIDDEN,
    lost_answers.CertificateRevoked: HTTPStatus.FORBIDDEN,
    lost_answers.CertificateExpired: HTTPStatus.FORBIDDEN,
    enrollment.EnrollmentRejected: HTTPStatus.FORBIDDEN,
    enrollment.TooManyWaiting: HTTPStatus.SERVICE_UNAVAILABLE,
    renewal.SameKeyRefused: HTTPStatus.FORBIDDEN,
    renewal.TooManyRenewals: HTTPStatus.TOO_MANY_REQUESTS,
    limits.LimitReached: HTTPStatus.TOO_MANY_REQUESTS,
    status.NotStanding: HTTPStatus.FORBIDDEN,
    publication.PublicationBusy: HTTPStatus.SERVICE_UNAVAILABLE,
    publication.NotPublishable: HTTPStatus.SERVICE_UNAVAILABLE,
    bundle.NoTrustBundle: HTTPStatus.SERVICE_UNAVAILABLE,
    bundle_signatures.NoBundleSigner: HTTPStatus.SERVICE_UNAVAILABLE,
    bundle.BundleBusy: HTTPStatus.SERVICE_UNAVAILABLE,
    profile_signing.NoProfileSigner: HTTPStatus.SERVICE_UNAVAILABLE,
    # nginx's auth_request knows 401 and 403 alone, and a 401 would have to name a way to authenticate (RFC
    # 9110 15.5.2), of which HTTP has none for certificates: what is wrong with one, or a proxy, is a 403.
    chains.ChainRefused: HTTPStatus.FORBIDDEN,
    forwarded.ForwardedCertificateMalformed: HTTPStatus.FORBIDDEN,
    ClientCertificateMissing: HTTPStatus.FORBIDDEN,
    IdentityTooLarge: HTTPStatus.FORBIDDEN,
    proxies.ProxyUnknown: HTTPStatus.FORBIDDEN,
    BodyTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    LengthRequired: HTTPStatus.LENGTH_REQUIRED,
    UnsupportedMediaType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    NotFound: HTTPStatus.NOT_FOUND,
    MethodNotAllowed: HTTPStatus.METHOD_NOT_ALLOWED,
    PreconditionFailed: HTTPStatus.PRECONDITION_FAILED,
}

PROBLEM = "application/problem+json"
# Codes of what is no Refusal; the last two are the worker's, before there is a request.
WITHOUT_A_KIND = (
    "bad_request",
    "internal_error",
    "unavailable",
    "head_too_large",
    "malformed_request",
)

_RETRY_AFTER = 60  # seconds
_RETRY_SOON = 5


def status_of(kind: type[Refusal]) -> HTTPStatus:
    """The HTTP status of a kind of refusal: its own, or that of the nearest class above it."""
    return next(_STATUS[each] for each in kind.__mro__ if each in _STATUS)


def problem(http_status: HTTPStatus, code: str, detail: str) -> HttpResponse:
    """An `application/problem+json` body (RFC 9457 3): type, title, status, detail, and our `code`."""
    response = HttpResponse(
        json.dumps(
            {
                "type": "about:blank",
                "title": http_status.phrase,
                "status": http_status.value,
                "detail": detail,
                "code": code,
            }
        ),
        status=http_status,
        content_type=PROBLEM,
    )
    response["Cache-Control"] = "no-store"
    # For who is given no body: nginx's auth_request drops it.
    response["Hatchery-Reason"] = code
    if http_status is HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = 'Bearer realm="enrollment"'
    if http_status is HTTPStatus.SERVICE_UNAVAILABLE:
        response["Retry-After"] = str(_RETRY_AFTER)
    return response


def refused(refusal: Refusal) -> HttpResponse:
    """The answer to a refusal."""
    response = problem(status_of(type(refusal)), refusal.code, refusal.detail)
    if isinstance(refusal, publication.PublicationBusy | bundle.BundleBusy):
        response["Retry-After"] = str(_RETRY_SOON)
    if isinstance(refusal, renewal.TooManyRenewals | limits.LimitReached):
        response["Retry-After"] = str(math.ceil(refusal.pause.total_seconds()))
    return response


def endpoint(
    *methods: str, keep: Callable[[HttpRequest, Refusal], Refusal] | None = None
) -> Callable[[Endpoint], Endpoint]:
    """Make a view that answers `methods` only (without any: all), and every error with a problem.

    `keep` is told of a method that was refused, for views whose refusals are kept.
    What is not a Refusal is logged here and becomes an opaque 503, if the database or the keystore cannot
    be used, or 500.
    """
    allowed = (*methods, "HEAD") if "GET" in methods else methods

    def decorate(view: Endpoint) -> Endpoint:
        @wraps(view)
        def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if allowed and request.method not in allowed:
                refusal = MethodNotAllowed(f"Use {' or '.join(methods)} here, not {request.method}.")
                response = answered(lambda: refused(keep(request, refusal) if keep else refusal))
                response["Allow"] = ", ".join(allowed)
                return response
            return answered(lambda: view(request, *args, **kwargs))

        # Devices send no cookies, so there is nothing that a forged request could ride on.
        answer.csrf_exempt = True  # type: ignore[attr-defined]
        answer.methods = methods  # type: ignore[attr-defined]
        return answer

    return decorate


def answered(what: Callable[[], Answer]) -> Answer | HttpResponse:
    """What is answered, or a problem if that fails."""
    try:
        return what()
    except Refusal as refusal:
        return refused(refusal)
    except UnreadablePostError:
        return bad_request()  # the client is gone
    except (DatabaseError, KeystoreError) as error:
        COMPLAINTS.say(log, "Requests are answered with 503", reason(error))
        return unavailable()
    except Exception:
        log.exception("An endpoint failed")
        return server_error()


def unavailable() -> HttpResponse:
    """The answer while something that Hatchery needs is not there."""
    return problem(
        HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "Hatchery cannot answer right now; try again later."
    )


def not_found() -> HttpResponse:
    """The answer where a listener that devices reach has nothing."""
    return refused(NotFound("There is nothing at this address on this port."))


def server_error() -> HttpResponse:
    """The answer to what failed, for a reason that is logged."""
    return problem(
        HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "Something failed here; the log says what."
    )


def bad_request() -> HttpResponse:
    """The answer to a request that nobody could answer."""
    return problem(HTTPStatus.BAD_REQUEST, "bad_request", "The request is malformed.")
