"""What is put on record of requests that somebody forwarded, or pretends to have forwarded."""

from datetime import datetime

from cryptography import x509
from django.http import HttpRequest
from django.utils import timezone

from pki.core import chains
from pki.core.errors import Refusal
from pki.endpoints import forwarding
from pki.endpoints.listeners import listener_of
from pki.services.proving import status
from pki.services.proving.dropped_headers import DROPPED, DroppedHeaders
from pki.services.proving.handshakes import TURNED_AWAY, RefusedHandshake
from pki.services.proving.refused_proxies import REFUSED_PROXIES, RefusedProxy


def not_believed(request: HttpRequest) -> None:
    """Record the headers of a request that were not believed, and that its sender was no proxy."""
    forwarded, listener = forwarding.of(request), listener_of(request.META)
    if listener is None or not (forwarded.headers or forwarded.unknown):
        return
    now, address = timezone.now(), forwarding.sender_address(request)
    if forwarded.unknown is not None:
        REFUSED_PROXIES.note(RefusedProxy.of(forwarded.unknown, listener.name, address), now)
    if forwarded.headers:
        names = tuple(form.header for form in forwarded.headers)
        reason, explanation = forwarded.why_dropped
        DROPPED.note(DroppedHeaders(listener.name, address, reason, explanation, names), now)


def turned_away(
    request: HttpRequest, certificate: x509.Certificate | None, refusal: Refusal, now: datetime
) -> None:
    """Record that a proxy's client was refused; of our own handshakes the worker does."""
    listener = listener_of(request.META)
    if forwarding.of(request).proxy is None or listener is None:
        return
    strange = isinstance(refusal, chains.ChainRefused | status.UnknownCertificate)
    TURNED_AWAY.note(
        RefusedHandshake.of(
            certificate,
            ours=certificate is not None and not strange,
            listener=listener.name,
            address=forwarding.client_address(request),
            reason=refusal.code,
            explanation=refusal.detail,
            forwarded_by=forwarding.sender_address(request) or "",
        ),
        now,
    )
