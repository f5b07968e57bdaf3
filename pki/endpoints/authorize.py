"""`/authorize`: a proxy asks whether the client whose handshake it took is still good, and who it is."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone

from pki.endpoints import forwarding, identity_headers, recording
from pki.endpoints.peer import proven
from pki.endpoints.problems import endpoint
from pki.services.fleet import labels


@endpoint()
def authorize(request: HttpRequest) -> HttpResponse:
    """200 with the device's identity, or 403 with the reason, whatever the method and the path are.

    Both are those of the request that the proxy asks about; they are of no account, and nor is its body.
    """
    forwarding.believe(request)
    now = timezone.now()
    client, identity = proven(request, now)
    try:
        headers = identity_headers.of(identity, labels.groups_of(identity.device_id))
    except identity_headers.IdentityTooLarge as refusal:
        recording.turned_away(request, client.certificate, refusal, now)
        raise
    return JsonResponse({"client": identity.device}, headers={**headers, "Cache-Control": "no-store"})
