"""`GET /bundle?form=…`: a device's own certificate and what it is to trust, as its programs read it."""

from collections import defaultdict

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from pki.endpoints.openapi.operations import BYTES, MUTUAL_TLS, Answer, Operation, described
from pki.endpoints.peer import NOT_PROVEN, proven
from pki.endpoints.problems import endpoint
from pki.services.exporting import files, making, profile_signing, subjects
from pki.services.exporting.files import Form, FormUnknown
from pki.services.exporting.identities import Container
from pki.services.issuing import authorities
from pki.services.trusting import bundle

_BY_TYPE: dict[str, list[Form]] = defaultdict(list)
for _form in Form:
    _BY_TYPE[_form.kind.content_type].append(_form)


@described(
    Operation(
        "The device's own certificate, and what it is to trust, as its programs read it.",
        tuple(Answer(f"As `{'`, `'.join(forms)}`.", kind, BYTES) for kind, forms in _BY_TYPE.items()),
        refusals=(*NOT_PROVEN, FormUnknown, bundle.NoTrustBundle, profile_signing.NoProfileSigner),
        security=(MUTUAL_TLS,),
        query={"form": ("Which form.", {"enum": list(Form)})},
    )
)
@endpoint("GET")
def own_bundle(request: HttpRequest) -> HttpResponse:
    """Without a key, which Hatchery does not have. An unknown form is a 400 that names those there are."""
    now = timezone.now()
    client, identity = proven(request, now)
    form = _wanted(request.GET.get("form", ""))
    above = authorities.path(identity.issuer_id, identity.issuer_fingerprint)
    subject = subjects.below(above, identity.device, identity.serial, client.certificate)
    file = making.made(form, subject, now)
    response = HttpResponse(file.content, content_type=file.content_type)
    response["Content-Disposition"] = f'attachment; filename="{file.name}"'
    response["Cache-Control"] = "no-store"
    return response


def _wanted(name: str) -> Form:
    """Raises FormUnknown; of a form with a key it says who makes it."""
    try:
        return files.form(name)
    except FormUnknown as refusal:
        if name not in list(Container):
            raise
        raise FormUnknown(
            f"{name} holds the private key, which Hatchery does not have: it is made where the key is, of "
            f"the form chain and the key, with openssl pkcs12 -export. {refusal.detail}"
        ) from None
