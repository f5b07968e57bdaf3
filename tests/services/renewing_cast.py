"""The cast of the tests of renewal: devices that show a certificate, and profiles that want it otherwise."""

from datetime import datetime
from typing import Any

from pki.models import Certificate, Device, Profile, Renewal
from pki.services.fleet import devices
from pki.services.fleet.sightings import Sighting, SightingLog
from pki.services.issuing.issuance import Issued
from pki.services.proving import status
from pki.services.renewing import renewal
from tests.services.cast import ADDRESS, Gadget, registered, token_for


def set_profile(**changes: Any) -> None:
    Profile.objects.filter(name=devices.DEFAULT_PROFILE).update(**changes)


class Fielded(Gadget):
    """A device that is enrolled, in the field."""

    @classmethod
    def enrolled(cls, name: str, now: datetime) -> "Fielded":
        made = cls(name)
        made.certificate = made.enroll(token_for(registered(name, now), now), now).certificate
        return made

    @property
    def device(self) -> Device:
        return Device.objects.get(name=self.name)

    @property
    def next(self) -> Gadget:
        """The same device with a new key."""
        return Gadget(self.name)

    def renew(self, pem: bytes, now: datetime, *, shown: Certificate | None = None) -> Issued:
        """What it is answered to a CSR if it shows a certificate, its first one."""
        identity = status.renewable((shown or self.certificate).fingerprint, now)
        return renewal.renew(identity, pem, ADDRESS, now)


def shows(certificate: Certificate, at: datetime) -> None:
    """A device uses a certificate, and that is noted as the worker does."""
    log = SightingLog()
    log.note(Sighting(certificate.device_id, certificate.pk, at, ADDRESS, "TLSv1.3"))
    log.flush()


def renewal_of(certificate: Certificate) -> Renewal:
    return Renewal.objects.get(certificate=certificate)


def is_revoked(certificate: Certificate) -> str:
    """Why; empty if it is not."""
    return Certificate.objects.values_list("revocation__reason", flat=True).get(pk=certificate.pk) or ""
