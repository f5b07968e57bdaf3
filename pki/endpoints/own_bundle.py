"""`GET /bundle?form=…`: a device's own certificate and what it is to trust, as its programs read it."""

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from pki.endpoints.peer import proven
from pki.endpoints.problems import endpoint
from pki.services.exporting import files, making, subjects
from pki.services.issuing import authorities


@endpoint("GET")
def own_bundle(request: HttpRequest) -> HttpResponse:
    """Without a key, which Hatchery does not have. An unknown form is a 400 that names those there are."""
    now = timezone.now()
    client, identity = proven(request, now)
    form = files.form(request.GET.get("form", ""))
    above = authorities.path(identity.issuer_id, identity.issuer_fingerprint)
    subject = subjects.below(above, identity.device, identity.serial, client.certificate)
    file = making.made(form, subject, now)
    response = HttpResponse(file.content, content_type=file.content_type)
    response["Content-Disposition"] = f'attachment; filename="{file.name}"'
    response["Cache-Control"] = "no-store"
    return response
