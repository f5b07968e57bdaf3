"""Which device a certificate that was issued elsewhere belongs to, and what it is called."""

import re
from collections.abc import Iterable

from cryptography import x509

from pki.core import names, reading
from pki.core.names import DEVICE_NAME, SanKind
from pki.models import Certificate, Device, Issuer

_BATCH = 500
_LONGEST = 64  # characters of a device's name
_OTHER = re.compile(r"[^A-Za-z0-9._:@+-]+")

Whose = bytes  # what certificates of one device have in common: their subject, DER, or else their SANs


def whose(certificate: x509.Certificate, sans: Iterable[str]) -> Whose:
    """By what a certificate's device is told from others: the whole subject, or the SANs of one without."""
    return certificate.subject.public_bytes() if list(certificate.subject) else "\n".join(sans).encode()


def wanted(certificate: x509.Certificate, sans: Iterable[names.San]) -> tuple[str, str]:
    """The name that a certificate's device is to have, and what must be said of it (or nothing).

    Its CN, if that may name a device; else its first DNS, email or URI name that may; else the CN with
    hyphens for what may not stand in a name; else its serial.
    """
    common_name = names.subject_attributes(certificate.subject).get("CN", "")
    if DEVICE_NAME.fullmatch(common_name):
        return common_name, ""
    for san in sans:
        if san.kind is not SanKind.IP and DEVICE_NAME.fullmatch(san.value):
            why = f"its CN {common_name[:64]!r} cannot be a device's name" if common_name else "it has no CN"
            return san.value, f"{why}; the device is called by its SAN, {san.value}"
    name = _OTHER.sub("-", common_name)[:_LONGEST].strip("-._:@+")
    if not DEVICE_NAME.fullmatch(name):
        name = f"serial-{certificate.serial_number:x}"
    said = f"its CN {common_name[:64]!r}" if common_name else f"it, {reading.subject_of(certificate)[:64]},"
    return name, f"{said} cannot be a device's name; the device is called {name}"


class Register:
    """Names that are given out: to those who had them before, and to each other device another one."""

    def __init__(self, issuer: Issuer, candidates: Iterable[str]) -> None:
        """`candidates` are the names that are wanted, and the CNs of those who want them."""
        self._names: dict[Whose, str] = {}
        self._devices: dict[str, Device] = {}
        self._taken: set[str] = set()
        self._last: dict[str, int] = {}
        self._known = set(candidates)
        ordered = sorted(self._known)
        for start in range(0, len(ordered), _BATCH):
            self._read(issuer, ordered[start : start + _BATCH])

    def _read(self, issuer: Issuer, some: list[str]) -> None:
        self._taken |= set(Device.objects.filter(name__in=some).values_list("name", flat=True))
        earlier = Certificate.objects.filter(issuer=issuer, common_name__in=some, device__isnull=False)
        for certificate in earlier.select_related("device").order_by("pk"):
            device = certificate.device
            if device is not None:
                self._devices[device.name] = device
                self._names.setdefault(whose(certificate.parsed, certificate.sans), device.name)

    def device(self, name: str) -> Device | None:
        """The device on record of a name that was given here; none if it is a new one."""
        return self._devices.get(name)

    def give(self, key: Whose, name: str) -> tuple[str, str]:
        """The name of who has `key`, `name` if it is free; and what must be said of it (or nothing)."""
        if key in self._names:
            return self._names[key], ""
        given = self._free(name)
        self._names[key] = given
        self._taken.add(given)
        return given, "" if given == name else f"another device is called {name}; this one is called {given}"

    def _free(self, name: str) -> str:
        given = name
        while given in self._taken or (given not in self._known and _exists(given)):
            self._last[name] = self._last.get(name, 1) + 1
            suffix = f"-{self._last[name]}"
            given = name[: _LONGEST - len(suffix)] + suffix
        return given


def _exists(name: str) -> bool:
    return Device.objects.filter(name=name).exists()
