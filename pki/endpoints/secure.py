"""`GET /secure` and `GET /whoami`: for enrolled devices, over mutual TLS."""

from datetime import datetime

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from django.http import HttpRequest, JsonResponse
from django.utils import timezone

from pki.core import certificates, names, pins
from pki.endpoints.peer import Peer, address, peer
from pki.endpoints.problems import endpoint
from pki.services.sightings import SEEN, Sighting
from pki.services.status import Identity, standing


@endpoint("GET")
def secure(request: HttpRequest) -> JsonResponse:
    _, identity = _proven(request)
    return JsonResponse(
        {
            "message": f"Hello {identity.device}, mutual trust established",
            "auth": "mutual TLS (both sides verified)",
            "client": identity.device,
        }
    )


@endpoint("GET")
def whoami(request: HttpRequest) -> JsonResponse:
    client, identity = _proven(request)
    certificate = client.certificate
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
            "not_before": _utc(certificate.not_valid_before_utc),
            "not_after": _utc(certificate.not_valid_after_utc),
            "renew_at": _utc(identity.renew_at),
            "tls_version": client.connection.protocol,
            "cipher_suite": client.connection.cipher,
            "resumed": client.connection.resumed,
            "headers": dict(request.headers),
        }
    )


def _proven(request: HttpRequest) -> tuple[Peer, Identity]:
    # Asked at each request: a resumed session or a kept-alive connection verifies nothing anew.
    client, now = peer(request), timezone.now()
    identity = standing(client.fingerprint, now)
    SEEN.note(
        Sighting(
            identity.device_id, identity.certificate_id, now, address(request), client.connection.protocol
        )
    )
    return client, identity


def _utc(moment: datetime) -> str:
    return moment.replace(microsecond=0).isoformat().replace("+00:00", "Z")
