"""Giving an answer again: to who lost it, and to who was refused and then allowed by an administrator."""

from datetime import datetime

from django.db.models import BigIntegerField, CharField

from pki.core import csr
from pki.core.csr import VerifiedRequest
from pki.core.errors import Refusal
from pki.models import EnrollmentRequest, EnrollmentToken, Revocation
from pki.services.enrolling import tokens
from pki.services.issuing import issuance
from pki.services.issuing.issuance import Issued
from pki.services.prepared import Asked, Rows
from pki.services.proving.status import CompromisedIssuer
from pki.services.trusting import cross_certificates


class CertificateRevoked(Refusal):
    """The certificate that this enrollment had given was revoked since."""

    code = "certificate_revoked"


class CertificateExpired(Refusal):
    """The certificate that this enrollment had given has ended since."""

    code = "certificate_expired"


_WITH_TOKEN = Rows(
    lambda: EnrollmentRequest.objects.filter(
        state=EnrollmentRequest.State.ISSUED,
        token_id=Asked("token", BigIntegerField()),
        spki_sha256=Asked("spki_sha256", CharField()),
    ).values_list("pk")
)


def issued_before(
    request: VerifiedRequest,
    now: datetime,
    *,
    token: EnrollmentToken | None = None,
    name: str | None = None,
) -> Issued | None:
    """What this same enrollment was given before, if its answer was lost; a token or a name says whose.

    Raises CertificateRevoked, CertificateExpired, CompromisedIssuer, DeviceInactive or KeyNotNew where giving
    it again would be wrong.
    """
    # As nearly always there is none: asked without the joins, which cost more than the rest.
    if token is not None and _WITH_TOKEN.first(token=token.pk, spki_sha256=request.spki_sha256) is None:
        return None
    earlier = EnrollmentRequest.objects.filter(
        state=EnrollmentRequest.State.ISSUED, spki_sha256=request.spki_sha256
    )
    earlier = earlier.filter(token=token) if token else earlier.filter(name=name)
    if not earlier.exists():
        return None
    found = earlier.select_related("certificate__issuer__parent", "device").latest("created_at")
    return given_again(found, now, request)


def still_good(request: VerifiedRequest, name: str, now: datetime) -> Issued | None:
    """As `issued_before`, where an enrollment whose certificate has ended, or is of a lost issuer, may simply
    be made anew.
    """
    try:
        return issued_before(request, now, name=name)
    except (CertificateExpired, CompromisedIssuer):
        return None


def allowed_once(request: VerifiedRequest, now: datetime) -> Issued | None:
    """What an administrator allowed this very CSR (`pki.services.enrolling.waivers`), while it stands."""
    waived = EnrollmentRequest.objects.filter(
        state=EnrollmentRequest.State.ISSUED, spki_sha256=request.spki_sha256
    ).exclude(waived="")
    if not waived.exists():  # as `issued_before`, of which a flood of bad tokens asks as often as it can
        return None
    allowed = waived.select_related("certificate__issuer__parent", "device").order_by("-last_at")
    found = next((each for each in allowed if csr.is_the_same(bytes(each.csr_der or b""), request.der)), None)
    if found is None:
        return None
    try:
        return given_again(found, now)
    except Refusal:
        return None  # what was wrong with this attempt says more


def given_again(found: EnrollmentRequest, now: datetime, request: VerifiedRequest | None = None) -> Issued:
    """The certificate of an enrollment that was granted. Raises as `issued_before`."""
    certificate, device = found.certificate, found.device
    if certificate is None or device is None:
        raise LookupError(f"Enrollment request {found.pk} has no certificate.")
    if request is not None and request.common_name not in (None, device.name):
        raise tokens.NameNotAllowed("This key was enrolled under another name.")
    if Revocation.objects.filter(certificate=certificate).exists():
        raise CertificateRevoked("The certificate of this enrollment was revoked; ask for a new token.")
    if certificate.issuer.is_lost:
        raise CompromisedIssuer(
            "The issuer of this enrollment's certificate is compromised; ask for a new token."
        )
    if certificate.not_after <= now:
        raise CertificateExpired("The certificate of this enrollment has expired; ask for a new token.")
    issuance.require_active_device(device)
    issuance.require_new_key(device, certificate.issued_at)
    return Issued(certificate, cross_certificates.chain(certificate.issuer, now))
