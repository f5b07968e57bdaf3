"""Which connections are a named proxy's, so that what they forward is believed."""

from collections.abc import Callable
from datetime import datetime

from cryptography import x509
from django.conf import settings

from pki.core import pins, proxies
from pki.core.errors import Refusal
from pki.core.proxies import Proxy
from pki.services import status


class ProxyUnknown(Refusal):
    """Only named proxies are answered here."""

    code = "proxy_unknown"


def named(
    address: str | None, own: Callable[[], x509.Certificate | None], must_show: bool, now: datetime
) -> Proxy:
    """The proxy at the other end of a connection from `address`.

    `own` gives the certificate that it showed for itself in the handshake, which it `must_show` at least if
    PORTAL_PROXY_DEVICES is set. Raises ProxyUnknown, in the same words whoever it is.
    """
    proxy = proxies.find(settings.PORTAL_PROXIES, address)
    if proxy is None:
        raise _unknown()
    if must_show or settings.PORTAL_PROXY_DEVICES:
        certificate = own()
        if certificate is None:
            raise ProxyUnknown(
                "A proxy must show a certificate of its own here (PORTAL_PROXY_DEVICES is set): "
                "ask on the secure listener, over mutual TLS."
            )
        try:
            identity = status.standing(pins.fingerprint_of(certificate), now)
        except status.NotStanding:
            raise _unknown() from None
        if identity.device not in settings.PORTAL_PROXY_DEVICES:
            raise _unknown()
    return proxy


def _unknown() -> ProxyUnknown:
    return ProxyUnknown("Only the proxies that are named in Hatchery's settings are answered here.")
