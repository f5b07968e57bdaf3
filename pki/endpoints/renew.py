"""`POST /renew` and `GET /renewal-info`: a device gets its next certificate, and learns when to ask."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone

from pki.core import csr
from pki.core.errors import Refusal
from pki.core.renewals import Hint
from pki.endpoints import bodies
from pki.endpoints.enroll import AS_PEM, CSR, CSR_REFUSALS, as_pem
from pki.endpoints.moments import utc
from pki.endpoints.openapi.operations import MOMENT, MUTUAL_TLS, Answer, Operation, described, record
from pki.endpoints.peer import NOT_PROVEN, address, proven
from pki.endpoints.problems import endpoint
from pki.services import limits
from pki.services.renewing import renewal, windows

# RFC 9773 4.2
WINDOW = record(start=MOMENT, end=MOMENT)


@described(
    Operation(
        "A device gets its next certificate.",
        (AS_PEM,),
        refusals=(
            *NOT_PROVEN,
            *CSR_REFUSALS,
            renewal.SameKeyRefused,
            renewal.TooManyRenewals,
            limits.TooManyFailures,
        ),
        description="The same key with the same certificate gets the same answer again: a lost one heals.",
        body=CSR,
        security=(MUTUAL_TLS,),
    )
)
@endpoint("POST")
def renew(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    _, identity = proven(request, now, renewing=True)
    try:
        bodies.require_readable(request, "A CSR", csr.LARGEST_CSR)
    except Refusal as refusal:
        raise renewal.refuse(identity, refusal, address(request), now) from None
    return as_pem(renewal.renew(identity, request.body, address(request), now))


@described(
    Operation(
        "When the certificate that is shown is to be renewed (RFC 9773 4.2).",
        (
            Answer(
                "Renew at a random moment of the window; now, if it is past.",
                schema=record(suggestedWindow=WINDOW),
                headers={"Retry-After": "After how many seconds to ask again."},
            ),
        ),
        refusals=NOT_PROVEN,
        security=(MUTUAL_TLS,),
    )
)
@endpoint("GET")
def renewal_info(request: HttpRequest) -> JsonResponse:
    """RFC 9773 4.2 and 4.3, for the certificate that is shown."""
    _, identity = proven(request, timezone.now(), renewing=True)
    hint = windows.of(identity)
    headers = {"Retry-After": str(hint.ask_again_in), "Cache-Control": "no-store"}
    return JsonResponse({"suggestedWindow": suggested(hint)}, headers=headers)


def suggested(hint: Hint) -> dict[str, str]:
    """A window as RFC 9773 4.2 writes it."""
    return {"start": utc(hint.window.start), "end": utc(hint.window.end)}
