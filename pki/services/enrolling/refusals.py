"""Keeping what was refused: for the console, and bounded however hard somebody knocks."""

import hashlib
import logging
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import F

from pki.core import names
from pki.core.csr import VerifiedRequest
from pki.core.errors import Refusal
from pki.core.visitors import network
from pki.models import Device, EnrollmentRequest, EnrollmentToken, Profile
from pki.services import audit, limits
from pki.services.audit import Actor
from pki.services.enrolling.limited import LIMITED, Limited
from pki.services.enrolling.repeated import REPEATED, Repeated
from pki.services.limits import LimitReached
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


def keep(attempt: Attempt, refusal: Refusal, now: datetime) -> Refusal:
    """Keep a refusal as an enrollment request; one that repeats counts up, and is in the audit trail folded.

    Returns it to be raised; or instead of it a LimitReached, of which only the audit trail hears, folded.
    """
    limit = limits.of_token(attempt.token) if attempt.token else limits.of_address(attempt.address)
    instead = refusal if isinstance(refusal, LimitReached) else limits.reached(limit, now)
    name, is_new = _shown_name(attempt), False
    if instead is None:
        try:
            with writing():
                limits.spend(limit, now)
                is_new = _keep(attempt, refusal, name, now)
        except LimitReached as reached:  # by others this moment
            instead = reached
    if instead is not None:
        LIMITED.note(Limited(attempt.address, instead.code, refusal.code), now)
    elif not is_new:
        REPEATED.note(Repeated(attempt.address, refusal.code, name, refusal.detail, attempt.device), now)
    return instead or refusal


def _shown_name(attempt: Attempt) -> str:
    name = attempt.name or (attempt.request.common_name if attempt.request else "") or ""
    return names.printable(name[:64])


def _keep(attempt: Attempt, refusal: Refusal, name: str, now: datetime) -> bool:
    """Whether there was none alike."""
    request = attempt.request
    fold = _fold(attempt.address, refusal.code, name, request.spki_sha256 if request else "")
    if _counted(fold, now):
        return False
    try:
        with transaction.atomic():
            _keep_new(attempt, refusal, name, fold, now)
    except IntegrityError:  # another request kept the same this moment
        if not _counted(fold, now):
            raise
        return False
    return True


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


def _fold(address: str | None, code: str, name: str, spki_sha256: str) -> str:
    apart = int.from_bytes(hashlib.sha256(f"{name}\0{spki_sha256}".encode()).digest()[:8], "big")
    text = f"{network(address)}\0{code}\0{apart % KEPT_APART}"
    return hashlib.sha256(text.encode()).hexdigest()
