"""`GET /secure` and `GET /whoami`: for enrolled devices, over mutual TLS with us or with a named proxy."""

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from django.http import HttpRequest, JsonResponse
from django.utils import timezone

from pki.core import certificates, names, pins
from pki.endpoints import forwarding
from pki.endpoints.moments import utc
from pki.endpoints.openapi.operations import (
    FLAG,
    HEX,
    MOMENT,
    MUTUAL_TLS,
    TEXT,
    Answer,
    Operation,
    described,
    either,
    record,
)
from pki.endpoints.peer import NOT_PROVEN, proven
from pki.endpoints.problems import endpoint
from pki.endpoints.renew import WINDOW, suggested
from pki.services.renewing import windows

_AUTH = "mutual TLS (both sides verified)"


@described(
    Operation(
        "Both sides are proven.",
        (
            Answer(
                "The device is known, and its certificate stands.",
                schema=record(
                    message={"type": "string", "pattern": "^Hello .+, mutual trust established$"},
                    auth={"const": _AUTH},
                    client={"type": "string", "description": "The device's name."},
                    renewal=record(
                        suggestedWindow=WINDOW,
                        asked={"type": "boolean", "description": "Whether it is to renew now."},
                    ),
                ),
            ),
        ),
        refusals=NOT_PROVEN,
        security=(MUTUAL_TLS,),
    )
)
@endpoint("GET")
def secure(request: HttpRequest) -> JsonResponse:
    _, identity = proven(request, timezone.now())
    hint = windows.of(identity)
    return JsonResponse(
        {
            "message": f"Hello {identity.device}, mutual trust established",
            "auth": _AUTH,
            "client": identity.device,
            "renewal": {"suggestedWindow": suggested(hint), "asked": hint.asked},
        }
    )


@described(
    Operation(
        "All that is known of who asks, and what came of its request.",
        (
            Answer(
                "What the certificate and the connection say.",
                schema=record(
                    client={"type": "string", "description": "The device's name."},
                    subject={"type": "string", "description": "RFC 4514"},
                    organization=either(TEXT),
                    sans={"type": "array", "items": TEXT},
                    issuer={"type": "string", "description": "RFC 4514"},
                    serial=HEX,
                    fingerprint_sha256=HEX,
                    spki_pin_sha256={"type": "string", "description": "Base64, as RFC 7469 has it"},
                    not_before=MOMENT,
                    not_after=MOMENT,
                    renew_at=MOMENT,
                    tls_version=either(TEXT),
                    cipher_suite=either(TEXT),
                    resumed=either(FLAG),
                    forwarded_by=either({"type": "string", "description": "The address of a proxy."}),
                    headers={"type": "object", "additionalProperties": TEXT},
                ),
            ),
        ),
        refusals=NOT_PROVEN,
        security=(MUTUAL_TLS,),
    )
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
