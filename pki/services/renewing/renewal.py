"""A device renews its certificate by showing it, over mutual TLS, with a CSR for the next one."""

from datetime import datetime, timedelta
from typing import Any

from django.db.models import BigIntegerField, CharField, DateTimeField

from pki.core import csr, profiles, renewals
from pki.core.csr import VerifiedRequest
from pki.core.errors import Refusal
from pki.models import Certificate, Device, Renewal
from pki.services import limits
from pki.services.audit import Actor
from pki.services.issuing import issuance
from pki.services.issuing.issuance import Issued
from pki.services.prepared import Asked, Objects, Rows, insert
from pki.services.proving import status
from pki.services.proving.status import Identity
from pki.services.renewing import refusals, windows
from pki.services.transactions import writing
from pki.services.trusting import cross_certificates

# So often in one life of its certificate a device may renew without a pause: one that loses what it is given
# must not fill the database.
MOST = 10
_LONGEST_PAUSE = timedelta(days=1)

# Who else would change the row waits for this one's end.
_HELD: dict[str, Any] = {"of": ("self",), "no_key": True}
_DEVICE = Objects(
    lambda: (
        Device.objects.select_related("profile__issuer__parent", "issuer__parent")
        .select_for_update(**_HELD)
        .filter(pk=Asked("number", BigIntegerField()))
    )
)
_CERTIFICATE = Objects(
    lambda: Certificate.objects.select_for_update(**_HELD).filter(pk=Asked("number", BigIntegerField()))
)
_OF_KEY = Rows(
    lambda: Certificate.objects.filter(
        device_id=Asked("device", BigIntegerField()), spki_sha256=Asked("spki_sha256", CharField())
    ).values_list("pk")[:1]
)
# The latest first, and no more of them than matter.
_RENEWALS = Rows(
    lambda: (
        Renewal.objects.filter(
            device_id=Asked("device", BigIntegerField()), at__gt=Asked("since", DateTimeField())
        )
        .order_by("-at")
        .values_list("at")[:MOST]
    )
)


class SameKeyRefused(Refusal):
    """The device had a certificate for this key, and its profile wants a new one each time."""

    code = "same_key_refused"


class TooManyRenewals(Refusal):
    """The device renews again and again."""

    code = "too_many_renewals"

    def __init__(self, detail: str, pause: timedelta) -> None:
        super().__init__(detail)
        self.pause = pause  # until it may try again


def renew(identity: Identity, pem: bytes, address: str | None, now: datetime) -> Issued:
    """The next certificate of the device that showed `identity`'s, for the key of a PEM CSR.

    `identity` is `status.renewable`. Its names are those of the device's record, and of the certificate's
    other wishes those that the profile still allows; the CSR has only its key to say, and that its CN, if
    any, is the device's name. The same key with the same certificate gets the same answer, should that have
    been lost. What is refused is kept (`refusals`) and raised: what `csr.verify`, `issuance.issue` and
    `status.renewable` raise, NameMismatch, SameKeyRefused, TooManyRenewals; TooManyFailures in their stead.
    """
    # Without a query, and before any work: nobody but this device is kept from anything.
    if limited := limits.remembered(limits.of_device(identity.device_id), now):
        raise refusals.note(identity, limited, address, now)
    try:
        request = csr.verify(pem)
        with writing():
            return _renew(identity, request, address, now)
    except Refusal as refusal:
        raise refuse(identity, refusal, address, now) from None


def refuse(identity: Identity, refusal: Refusal, address: str | None, now: datetime) -> Refusal:
    """Keep a refusal of a renewal, and hand it back to be raised, or a TooManyFailures instead."""
    return refusals.note(identity, refusal, address, now)


def _renew(identity: Identity, request: VerifiedRequest, address: str | None, now: datetime) -> Issued:
    device, shown = _held(identity)
    # Asked again now that nobody can change it: a revocation that was quicker leaves nothing behind.
    status.renewable(identity.fingerprint, now)
    profiles.require_name(device.name, request)
    if _had(device, request):
        if healed := _given_before(device, shown, request, now):
            return healed
        if not device.profile.renew_same_key:
            issuance.require_own_key(device, request.spki_sha256)  # which may say more
            raise SameKeyRefused(
                "This device had a certificate for this key; make a new key, and a CSR for it."
            )
    _require_pause(device, shown, now)
    issuance.require_begun_issuer(device.next_issuer(now), now)
    issued, _ = issuance.issue(
        device,
        renewals.wishes_again(request, shown.parsed, device.record),
        Actor(f"device:{device.name}", address),
        now,
        renews=shown.serial,
    )
    insert(Renewal(certificate=issued.certificate, replaced=shown, device=device, address=address, at=now))
    return issued


def _held(identity: Identity) -> tuple[Device, Certificate]:
    """The device and the certificate that it showed, held.

    The device first, as `rotation.complete` and `devices.change_states` do: no deadlock.
    """
    return _DEVICE.one(number=identity.device_id), _CERTIFICATE.one(number=identity.certificate_id)


def _had(device: Device, request: VerifiedRequest) -> bool:
    """Whether the device has, or had, a certificate for the key of a request."""
    return _OF_KEY.first(device=device.pk, spki_sha256=request.spki_sha256) is not None


def _given_before(
    device: Device, shown: Certificate, request: VerifiedRequest, now: datetime
) -> Issued | None:
    """What the same certificate was renewed by for the same key, if that answer was lost.

    Raises KeyNotNew if the device was asked for a new key since.
    """
    given = Renewal.objects.filter(
        replaced=shown,
        certificate__spki_sha256=request.spki_sha256,
        certificate__revocation=None,
        certificate__not_after__gte=now,
    )
    found = given.select_related("certificate__issuer__parent").order_by("-pk").first()
    if found is None or found.certificate.issuer.is_lost:
        return None
    certificate = found.certificate
    issuance.require_new_key(device, certificate.issued_at)
    certificate.device = device
    due = windows.of_certificate(certificate, now).window.start
    if request.spki_sha256 == shown.spki_sha256 and now >= due:
        return None  # the key says nothing of which of the two is meant: here it is the next renewal
    return Issued(certificate, cross_certificates.chain(certificate.issuer, now))


def _require_pause(device: Device, shown: Certificate, now: datetime) -> None:
    """Raise TooManyRenewals if this device is to wait. It never waits for longer than a day."""
    life = shown.not_after - shown.not_before
    moments = [row.at for row in _RENEWALS.all(device=device.pk, since=now - life)]
    if len(moments) < MOST:
        return
    pause = moments[0] + min(life / MOST, _LONGEST_PAUSE) - now
    if pause > timedelta(0):
        raise TooManyRenewals(
            f"This device has renewed {MOST} times and more within one life of its certificate; see why it "
            "does not use what it gets, and try again later.",
            pause,
        )
