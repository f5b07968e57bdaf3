"""CA certificates on the status listener: one, its chain, and bundles for trust stores."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from pki.core import bundles, pins
from pki.endpoints.openapi.operations import Answer, Operation, described
from pki.endpoints.problems import NotFound, PreconditionFailed, endpoint
from pki.endpoints.versions import NOT_MODIFIED, PEM, Version, answer, tag_of
from pki.models import Issuer
from pki.services.issuing import authorities
from pki.services.trusting import cross_certificates

# A CA certificate never changes, but it may be withdrawn.
CA_MAX_AGE = 86400  # seconds

DER = "application/pkix-cert"  # RFC 2585 4.1


def _operation(summary: str, says: str, content_type: str = PEM) -> Operation:
    return Operation(
        summary,
        (Answer(says, content_type), NOT_MODIFIED),
        refusals=(NotFound, PreconditionFailed),
        parameters={"key_identifier": "The issuer's subject key identifier, lower-case hex."},
    )


@described(_operation("An issuer's certificate.", "The certificate, DER.", DER))
@endpoint("GET")
def ca_certificate(request: HttpRequest, key_identifier: str) -> HttpResponse:
    """An issuer's certificate, DER, where caIssuers points (RFC 5280 4.2.2.1)."""
    issuer = _find(key_identifier)
    version = Version(
        tag=issuer.fingerprint,
        changed_at=issuer.created_at,
        content_type=DER,
        max_age=CA_MAX_AGE,
    )
    return answer(request, version, lambda: bytes(issuer.certificate_der), timezone.now())


@described(_operation("An issuer's chain.", "Its certificate and those above it without the root, PEM."))
@endpoint("GET")
def ca_chain(request: HttpRequest, key_identifier: str) -> HttpResponse:
    """An issuer's certificate and those above it but for the root, then the cross-certificates that stand,
    PEM; of a root, itself.
    """
    issuer, now = _find(key_identifier), timezone.now()
    chain = [issuer.certificate] if issuer.is_root else cross_certificates.chain(issuer, now)
    version = Version(
        tag=f"{tag_of(pins.fingerprint_of(each) for each in chain)}-chain",
        changed_at=issuer.created_at,
        # Cross-certificates come and go within its life.
        by_date=False,
        content_type=PEM,
        max_age=settings.PORTAL_STATUS_MAX_AGE,
    )
    return answer(request, version, lambda: bundles.pem(chain), now)


@described(_operation("The roots that are to be trusted, for trust stores.", "The certificates, PEM."))
@endpoint("GET")
def trust_bundle(request: HttpRequest) -> HttpResponse:
    """The roots that are to be trusted, PEM: for trust stores."""
    return _bundle(request, roots_only=True)


@described(_operation("The roots and the CAs below them, for verifiers.", "The certificates, PEM."))
@endpoint("GET")
def verifiers_bundle(request: HttpRequest) -> HttpResponse:
    """The same with the CAs below them: for who verifies certificates that come without their chain."""
    return _bundle(request, roots_only=False)


def _find(key_identifier: str) -> Issuer:
    issuer = Issuer.objects.filter(key_identifier=key_identifier).first()
    if issuer is None:
        raise NotFound("There is no such issuer.")
    return issuer


def _bundle(request: HttpRequest, *, roots_only: bool) -> HttpResponse:
    now = timezone.now()
    trusted, since = authorities.trusted(now)
    issuers = [issuer for issuer in trusted if issuer.is_root or not roots_only]
    if not issuers:
        raise NotFound("There is no CA that is to be trusted.")
    version = Version(
        tag=tag_of(issuer.fingerprint for issuer in issuers),
        changed_at=since,
        content_type=PEM,
        max_age=settings.PORTAL_STATUS_MAX_AGE,
    )
    return answer(request, version, lambda: bundles.pem(issuer.certificate for issuer in issuers), now)
