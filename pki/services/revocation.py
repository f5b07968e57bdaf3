"""Revoking certificates. It takes effect at the certificate's next request, on every node."""

import logging
from collections.abc import Iterable
from datetime import datetime

from django.db.models import QuerySet

from pki.core.errors import Refusal
from pki.models import Certificate, Device, Revocation
from pki.services import audit
from pki.services.audit import Actor
from pki.services.transactions import writing


class CertificateUnknown(Refusal):
    """There is no such certificate."""

    code = "certificate_unknown"


class AlreadyRevoked(Refusal):
    """Every certificate that was named is revoked already; when and why does not change."""

    code = "already_revoked"


def living(device: Device, now: datetime) -> QuerySet[Certificate]:
    """A device's certificates that are neither revoked nor expired."""
    return Certificate.objects.filter(device=device, revocation=None, not_after__gte=now)


def find_by_serial(text: str) -> Certificate:
    """The certificate of a serial in any usual writing: hex, with colons, spaces or `0x`, in any case.

    Raises CertificateUnknown, also where two issuers gave the same serial.
    """
    serial = text.strip().lower().removeprefix("0x").replace(":", "").replace(" ", "").lstrip("0")
    found = list(Certificate.objects.select_related("device", "issuer").filter(serial=serial)[:2])
    if len(found) != 1:
        raise CertificateUnknown(f"There is no certificate with the serial {text!r}.")
    return found[0]


def revoke(
    certificates: Iterable[Certificate], reason: Revocation.Reason, actor: Actor, now: datetime
) -> list[Revocation]:
    """Revoke certificates, all in one transaction; those that are revoked already are passed over.

    Raises AlreadyRevoked if that leaves none.
    """
    with writing():
        revocations = []
        for certificate in certificates:
            revocation, new = Revocation.objects.get_or_create(
                certificate=certificate,
                defaults={"reason": reason, "revoked_at": now, "revoked_by": actor.user},
            )
            if not new:
                continue
            revocations.append(revocation)
            audit.record(
                "certificate.revoked",
                actor,
                now,
                device=certificate.device,
                certificate=certificate,
                level=logging.WARNING,
                name=certificate.common_name,
                reason=str(reason),
            )
    if not revocations:
        raise AlreadyRevoked("There is nothing left to revoke: it is revoked already.")
    return revocations
