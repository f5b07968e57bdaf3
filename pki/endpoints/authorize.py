"""`/authorize`: a proxy asks whether the client whose handshake it took is still good, and who it is."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone

from pki.endpoints import forwarding, identity_headers, recording
from pki.endpoints.openapi.operations import Answer, Operation, described, record
from pki.endpoints.peer import NOT_PROVEN, proven
from pki.endpoints.problems import endpoint
from pki.services.fleet import labels


@described(
    Operation(
        "A proxy asks whether the client whose handshake it took is still good, and who it is.",
        (
            Answer(
                "The client's certificate stands.",
                schema=record(client={"type": "string", "description": "The device's name."}),
                headers={
                    "Hatchery-Device": "The device's name, percent-encoded where it is not visible ASCII.",
                    "Hatchery-Serial": "Of its certificate, hex.",
                    "Hatchery-Uri": "spiffe://<trust domain>/device/<name>",
                    "Hatchery-Groups": "The names of its groups, with commas between.",
                    "Hatchery-Not-After": "When its certificate ends, RFC 3339.",
                },
            ),
        ),
        refusals=(*NOT_PROVEN, identity_headers.IdentityTooLarge),
        description="Any method, and any path below it, is answered as this one: both are those of the "
        "request that the proxy asks about. The certificate is read of the one header of the proxy's form.",
    )
)
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
