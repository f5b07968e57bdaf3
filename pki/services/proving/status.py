"""Whether a certificate still stands: asked of the database at every request that relies on one."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import CharField

from pki.core import renewals
from pki.core.errors import Refusal
from pki.models import Certificate, Device, Issuer
from pki.services.prepared import Asked, Rows


class NotStanding(Refusal):
    """A certificate that must not be relied on; each subclass says why."""

    code = "certificate_refused"


class UnknownCertificate(NotStanding):
    """No certificate of ours has this fingerprint."""

    code = "certificate_unknown"


class RevokedCertificate(NotStanding):
    """It was revoked."""

    code = "certificate_revoked"


class ExpiredCertificate(NotStanding):
    """Its time is over."""

    code = "certificate_expired"


class NotYetValidCertificate(NotStanding):
    """Its time has not come: a clock is wrong."""

    code = "certificate_not_yet_valid"


class NoDeviceCertificate(NotStanding):
    """It is ours, but it belongs to no device."""

    code = "certificate_of_no_device"


class CompromisedIssuer(NotStanding):
    """The key of its issuer, or of the CA above, is in wrong hands: anybody could have made it."""

    code = "issuer_compromised"


class SuspendedDevice(NotStanding):
    """Its device is suspended."""

    code = "device_suspended"


class RetiredDevice(NotStanding):
    """Its device is retired."""

    code = "device_retired"


@dataclass(frozen=True)
class Identity:
    """A device that has proven itself, with a certificate that stands at this moment.

    `renewable` lets in one that has expired as well.
    """

    device: str
    device_id: int
    certificate_id: int
    serial: str  # hex
    not_before: datetime
    not_after: datetime
    issuer_id: int
    issuer_fingerprint: str  # of the issuer's certificate, SHA-256, hex
    fingerprint: str  # of its own, SHA-256, hex
    asked: bool  # whether it is to renew now, whatever is left of its certificate's life


_ROWS = Rows(
    lambda: Certificate.objects.filter(fingerprint=Asked("fingerprint", CharField())).values_list(
        "pk",
        "device_id",
        "serial",
        "not_before",
        "not_after",
        "issued_at",
        "issuer_id",
        "issuer__fingerprint",
        "issuer__state",
        "issuer__parent__state",
        "device__name",
        "device__state",
        "device__issuer_id",
        "device__issuer__state",
        "device__issuer__parent__state",
        "device__issuer__not_after",
        "device__rotation_requested_at",
        "revocation__reason",
    )
)


def standing(fingerprint: str, now: datetime) -> Identity:
    """Whose certificate this is, by its SHA-256 fingerprint (hex), with one indexed query.

    Raises the subclass of NotStanding that says why it must be refused.
    """
    row = _row(fingerprint)
    _require_good_certificate(row)
    _require_in_time(row, now)
    _require_active_device(row)
    return _identity(row, fingerprint, now)


def renewable(fingerprint: str, now: datetime) -> Identity:
    """The same for who comes to renew: also with a certificate that has expired, for as long as the grace
    lasts that the device's profile gives, and with one query more then.

    Never with one that was revoked, of a device that is not active, or under a CA that has itself expired.
    """
    row = _row(fingerprint)
    _require_good_certificate(row)
    if now <= row.not_after or not _has_grace(row, now):
        _require_in_time(row, now)
    _require_active_device(row)
    return _identity(row, fingerprint, now)


def _row(fingerprint: str) -> Any:
    row = _ROWS.first(fingerprint=fingerprint)
    if row is None:
        raise UnknownCertificate("This certificate is not on record here; enroll the device again.")
    return row


def _identity(row: Any, fingerprint: str, now: datetime) -> Identity:
    return Identity(
        device=row.device__name,
        device_id=row.device_id,
        certificate_id=row.pk,
        serial=row.serial,
        not_before=row.not_before,
        not_after=row.not_after,
        issuer_id=row.issuer_id,
        issuer_fingerprint=row.issuer__fingerprint,
        fingerprint=fingerprint,
        asked=renewals.is_asked(
            row.issued_at, row.issuer_id, _decided_issuer(row, now), row.device__rotation_requested_at
        ),
    )


def _decided_issuer(row: Any, now: datetime) -> int | None:
    """The number of what `Device.decided_issuer` says, of a row."""
    if row.device__issuer__state != Issuer.State.ACTIVE or now >= row.device__issuer__not_after:
        return None
    if row.device__issuer__parent__state == Issuer.State.COMPROMISED:
        return None
    number: int = row.device__issuer_id
    return number


def _has_grace(row: Any, now: datetime) -> bool:
    found = Certificate.objects.filter(pk=row.pk, device__state=Device.State.ACTIVE).values_list(
        "device__profile__grace_hours", "issuer__not_after", "issuer__parent__not_after"
    )
    for hours, *issuers_end in found:
        authority_lives = all(end is None or now <= end for end in issuers_end)
        return authority_lives and now <= row.not_after + timedelta(hours=hours)
    return False


def _require_good_certificate(row: Any) -> None:
    if row.revocation__reason is not None:
        raise RevokedCertificate(f"This certificate was revoked ({row.revocation__reason}).")
    if row.issuer__state == Issuer.State.COMPROMISED:
        raise CompromisedIssuer("The issuer of this certificate is compromised; enroll the device again.")
    if row.issuer__parent__state == Issuer.State.COMPROMISED:
        raise CompromisedIssuer(
            "The CA above the issuer of this certificate is compromised; enroll the device again."
        )


def _require_in_time(row: Any, now: datetime) -> None:
    if now > row.not_after:
        raise ExpiredCertificate(
            f"This certificate expired at {row.not_after:%Y-%m-%d %H:%M:%S} UTC; enroll the device again."
        )
    if now < row.not_before:
        raise NotYetValidCertificate(
            f"This certificate is valid from {row.not_before:%Y-%m-%d %H:%M:%S} UTC, "
            f"and here it is {now:%Y-%m-%d %H:%M:%S} UTC; check the clocks."
        )


def _require_active_device(row: Any) -> None:
    if row.device_id is None:
        raise NoDeviceCertificate("This certificate belongs to no device.")
    if row.device__state == Device.State.SUSPENDED:
        raise SuspendedDevice("This device is suspended; ask an administrator to resume it.")
    if row.device__state == Device.State.RETIRED:
        raise RetiredDevice("This device is retired.")
