"""`GET /ca-bundle`: what devices are to trust, signed, on every listener that they reach."""

from datetime import datetime

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from pki.core import pins
from pki.endpoints.openapi.operations import BYTES, MUTUAL_TLS, TEXT, Answer, Operation, Security, described
from pki.endpoints.peer import note_bundle
from pki.endpoints.problems import PreconditionFailed, endpoint
from pki.endpoints.versions import NOT_MODIFIED, Version, answer
from pki.models import TrustBundle
from pki.services.trusting import bundle, bundle_signatures

# RFC 8551 3.2.2 has signed-data for CMS with its content in it.
CMS = "application/pkcs7-mime; smime-type=signed-data"


def _operation(*security: Security) -> Operation:
    return Operation(
        "What devices are to trust, signed.",
        (
            Answer(
                "CMS SignedData (RFC 5652), DER, with a text of PEM certificates in it.",
                CMS,
                BYTES,
                headers={"Hatchery-Bundle-Version": "The number that stands in it, too."},
            ),
            NOT_MODIFIED,
        ),
        refusals=(
            bundle.NoTrustBundle,
            bundle.BundleBusy,
            bundle_signatures.NoBundleSigner,
            PreconditionFailed,
        ),
        security=security,
        query={"root": ("SHA-256 of a root that the client trusts, hex: it is signed below that one.", TEXT)},
    )


@described(_operation())
@endpoint("GET")
def ca_bundle(request: HttpRequest) -> HttpResponse:
    """For everybody, where nobody shows a certificate."""
    now = timezone.now()
    found = bundle.current(now)
    return _answer(request, found, _for_who_asks(request, found), now)


@described(_operation(MUTUAL_TLS))
@endpoint("GET")
def ca_bundle_to_devices(request: HttpRequest) -> HttpResponse:
    """The same where devices show their certificates: it is noted which version each has."""
    now = timezone.now()
    found = bundle.current(now)
    signed = _for_who_asks(request, found)
    response = _answer(request, found, signed, now)
    # Who asks for a signature that there is not gets one that it refuses, and keeps the version that it has.
    if signed is not None:
        note_bundle(request, found.version, now)
    return response


def _for_who_asks(request: HttpRequest, found: TrustBundle) -> bytes | None:
    """The signature below the root that is asked for, None if there is none.

    `root` is the SHA-256 of a root that the client trusts, hex, so that it gets a signature below that one.
    """
    # As openssl writes it: upper case, with colons.
    return bundle_signatures.of(found, request.GET.get("root", "").replace(":", "").lower())


def _answer(request: HttpRequest, found: TrustBundle, signed: bytes | None, now: datetime) -> HttpResponse:
    """The trust bundle, CMS SignedData, DER: this signature, or else the one for everybody.

    It proves itself: who asks need not have proven anything.
    """
    signed = signed or bytes(found.signed)
    version = Version(
        tag=pins.fingerprint(signed),
        changed_at=found.signed_at,
        # It may be signed twice in one second.
        by_date=False,
        content_type=CMS,
        max_age=settings.PORTAL_STATUS_MAX_AGE,
    )
    response = answer(request, version, lambda: signed, now)
    response["Hatchery-Bundle-Version"] = str(found.version)
    return response
