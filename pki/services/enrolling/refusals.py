"""Keeping what was refused: for the console, and bounded however hard somebody knocks."""

import hashlib
import ipaddress
import logging
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import F

from pki.core import names
from pki.core.csr import VerifiedRequest
from pki.core.errors import Refusal
from pki.models import Device, EnrollmentRequest, EnrollmentToken, Profile
from pki.services import audit
from pki.services.audit import Actor
from pki.services.transactions import writing

log = logging.getLogger("hatchery.enrollment")

# Of one address and one code, at most so many different refusals are kept apart.
KEPT_APART = 64


@dataclass
class Attempt:
    """An enrollment as far as it got."""

    address: str | None
    request: VerifiedRequest | None = None
    name: str = ""
    token: EnrollmentToken | None = None
    device: Device | None = None
    profile: Profile | None = None


def keep(attempt: Attempt, refusal: Refusal, now: datetime) -> None:
    """Keep a refusal as an enrollment request; one that repeats only counts up."""
    name = attempt.name or (attempt.request.common_name if attempt.request else "") or ""
    name = names.printable(name[:64])
    request = attempt.request
    fold = _fold(attempt.address, refusal.code, name, request.spki_sha256 if request else "")
    with writing():
        if _counted(fold, now):
            return
        try:
            with transaction.atomic():
                _keep_new(attempt, refusal, name, fold, now)
        except IntegrityError:  # another request kept the same this moment
            if not _counted(fold, now):
                raise


def _counted(fold: str, now: datetime) -> bool:
    return EnrollmentRequest.objects.filter(fold=fold).update(count=F("count") + 1, last_at=now) > 0


def _keep_new(attempt: Attempt, refusal: Refusal, name: str, fold: str, now: datetime) -> None:
    request = attempt.request
    EnrollmentRequest.objects.create(
        state=EnrollmentRequest.State.REFUSED,
        name=name,
        device=attempt.device,
        profile=attempt.profile,
        token=attempt.token,
        csr_der=request.der if request else None,
        spki_sha256=request.spki_sha256 if request else "",
        code=refusal.code,
        reason=refusal.detail[:500],
        address=attempt.address,
        fold=fold,
        created_at=now,
        last_at=now,
    )
    audit.record(
        "enrollment.refused",
        Actor.anonymous(attempt.address),
        now,
        device=attempt.device,
        level=logging.WARNING,
        code=refusal.code,
        name=name,
        reason=refusal.detail,
    )


def network(address: str | None) -> str:
    """What counts as one visitor: an IPv4 address, or the /64 that one IPv6 host has to itself."""
    if not address:
        return ""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def _fold(address: str | None, code: str, name: str, spki_sha256: str) -> str:
    apart = int.from_bytes(hashlib.sha256(f"{name}\0{spki_sha256}".encode()).digest()[:8], "big")
    text = f"{network(address)}\0{code}\0{apart % KEPT_APART}"
    return hashlib.sha256(text.encode()).hexdigest()
