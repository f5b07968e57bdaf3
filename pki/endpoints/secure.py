"""`GET /secure` and `GET /whoami`: for enrolled devices, over mutual TLS with us or with a named proxy."""

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from django.http import HttpRequest, JsonResponse
from django.utils import timezone

from pki.core import certificates, names, pins
from pki.endpoints import forwarding
from pki.endpoints.moments import utc
from pki.endpoints.peer import proven
from pki.endpoints.problems import endpoint
from pki.endpoints.renew import suggested
from pki.services.renewing import windows


@endpoint("GET")
def secure(request: HttpRequest) -> JsonResponse:
    _, identity = proven(request, timezone.now())
    hint = windows.of(identity)
    return JsonResponse(
        {
            "message": f"Hello {identity.device}, mutual trust established",
            "auth": "mutual TLS (both sides verified)",
            "client": identity.device,
            "renewal": {"suggestedWindow": suggested(hint), "asked": hint.asked},
        }
    )


@endpoint("GET")
def whoami(request: HttpRequest) -> JsonResponse:
    client, identity = proven(request, timezone.now())
    certificate, connection = client.certificate, client.connection
    organizations = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    sans, _ = names.sans_of(certificates.sans(certificate))
    return JsonResponse(
        {
            "client": identity.device,
            "subject": certificate.subject.rfc4514_string(),
            "organization": organizations[0].value if organizations else None,
            "sans": [str(san) for san in sans],
            "issuer": certificate.issuer.rfc4514_string(),
            "serial": identity.serial,
            "fingerprint_sha256": certificate.fingerprint(SHA256()).hex(),
            "spki_pin_sha256": pins.spki_pin(certificate.public_key()),
            "not_before": utc(certificate.not_valid_before_utc),
            "not_after": utc(certificate.not_valid_after_utc),
            "renew_at": utc(windows.of(identity).window.start),
            # What only the proxy knows is null.
            "tls_version": connection.protocol if connection else None,
            "cipher_suite": connection.cipher if connection else None,
            "resumed": connection.resumed if connection else None,
            "forwarded_by": None if connection else forwarding.sender_address(request),
            "headers": dict(request.headers) | forwarding.believed(request),
        }
    )
