"""`/authorize`: a proxy asks whether the client whose handshake it took is still good, and who it is."""

from urllib.parse import quote

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone

from pki.endpoints import forwarding
from pki.endpoints.moments import utc
from pki.endpoints.peer import proven
from pki.endpoints.problems import endpoint
from pki.services.fleet import labels

# What stands for itself in a header: visible ASCII, but for what separates values and what encodes them.
_VISIBLE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in ",%")


@endpoint()
def authorize(request: HttpRequest) -> HttpResponse:
    """200 with the device's identity, or 403 with the reason, whatever the method and the path are.

    Both are those of the request that the proxy asks about; they are of no account, and nor is its body.
    """
    forwarding.believe(request)
    _, identity = proven(request, timezone.now())
    groups = labels.groups_of(identity.device_id)
    response = JsonResponse({"client": identity.device})
    response["Hatchery-Device"] = _in_header(identity.device)
    response["Hatchery-Serial"] = identity.serial
    response["Hatchery-Uri"] = uri(identity.device)
    response["Hatchery-Groups"] = ",".join(map(_in_header, groups))
    response["Hatchery-Not-After"] = utc(identity.not_after)
    response["Cache-Control"] = "no-store"
    return response


def uri(device: str) -> str:
    """A device's name in the form of a SPIFFE ID.

    A path segment of a SPIFFE ID (SPIFFE-ID 2.2) has letters, digits and . _ - alone; what else a name may
    have (: @ +) is percent-encoded, and such a URI is like a SPIFFE ID without being one.
    """
    return f"spiffe://{settings.PORTAL_TRUST_DOMAIN}/device/{quote(device, safe='')}"


def _in_header(word: str) -> str:
    return quote(word, safe=_VISIBLE)
