"""Which connections are a named proxy's, so that what they forward is believed."""

import logging
from datetime import datetime

from cryptography import x509
from django.conf import settings

from pki.core import pins, proxies
from pki.core.errors import Refusal
from pki.core.proxies import Proxy
from pki.models import Device
from pki.services.proving import status

log = logging.getLogger("hatchery.proxy")


class ProxyUnknown(Refusal):
    """Only named proxies are answered here. Whoever asks is told no more; the rest is for the audit trail:
    a stable `reason`, `why` in words, and the `certificate` that it showed for itself, if that is why.
    """

    code = "proxy_unknown"

    def __init__(self, reason: str, why: str, certificate: x509.Certificate | None = None) -> None:
        super().__init__(
            "Only the proxies that Hatchery's settings name are answered here (PORTAL_PROXIES; over mutual "
            "TLS if PORTAL_PROXY_DEVICES is set)."
        )
        self.reason, self.why, self.certificate = reason, why, certificate


def warn_of_unknown_devices() -> None:
    """Say in the log which names in PORTAL_PROXY_DEVICES are no device's."""
    wanted = settings.PORTAL_PROXY_DEVICES
    known = set(Device.objects.filter(name__in=wanted).values_list("name", flat=True)) if wanted else set()
    unknown = [name for name in wanted if name not in known]
    if unknown:
        log.warning("PORTAL_PROXY_DEVICES names what is no device: %s; enroll each.", ", ".join(unknown))


def named(address: str | None, own: x509.Certificate | None, must_show: bool, now: datetime) -> Proxy:
    """The proxy at the other end of a connection from `address`.

    `own` is the certificate that it showed for itself in the handshake. It `must_show` one where the listener
    wants one of everybody, and anywhere if PORTAL_PROXY_DEVICES is set. Raises ProxyUnknown.
    """
    proxy = proxies.find(settings.PORTAL_PROXIES, address)
    if proxy is None:
        raise ProxyUnknown("address_not_named", "PORTAL_PROXIES does not name its address")
    if must_show or settings.PORTAL_PROXY_DEVICES:
        _require_device(own, now)
    return proxy


def _require_device(certificate: x509.Certificate | None, now: datetime) -> None:
    if certificate is None:
        raise ProxyUnknown(
            "no_certificate",
            "it showed no certificate of its own, which PORTAL_PROXY_DEVICES asks for: "
            "the secure listener takes one",
        )
    try:
        identity = status.standing(pins.fingerprint_of(certificate), now)
    except status.NotStanding as refusal:
        why = f"its own certificate is refused ({refusal.code})"
        raise ProxyUnknown(refusal.code, why, certificate) from None
    if identity.device not in settings.PORTAL_PROXY_DEVICES:
        raise ProxyUnknown(
            "device_not_named",
            f"PORTAL_PROXY_DEVICES does not name {identity.device}, whose certificate it shows",
            certificate,
        )
