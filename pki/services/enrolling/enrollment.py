"""The RA: decides who may enroll, by the policy of the device's profile."""

import logging
from datetime import datetime

from django.db import IntegrityError

from pki.core import csr, names
from pki.core.csr import VerifiedRequest
from pki.core.errors import Refusal
from pki.core.profiles import Record, grant
from pki.models import Certificate, Device, EnrollmentRequest, EnrollmentToken, Profile
from pki.services import audit, limits
from pki.services.audit import Actor
from pki.services.enrolling import lost_answers, refusals, tokens
from pki.services.enrolling.refusals import Attempt
from pki.services.fleet import devices
from pki.services.issuing import issuance
from pki.services.issuing.issuance import Issued
from pki.services.prepared import insert
from pki.services.transactions import writing

log = logging.getLogger("hatchery.enrollment")

# Nobody can make more requests wait than an administrator could ever look through.
MOST_WAITING = 1_000


class NameMissing(Refusal):
    """Neither the token nor the CSR says which device this is."""

    code = "name_missing"


class AlreadyEnrolled(Refusal):
    """The device has a certificate for another key; without a token, anybody could take its name."""

    code = "already_enrolled"


class EnrollmentRejected(Refusal):
    """An administrator said no."""

    code = "enrollment_rejected"


class TooManyWaiting(Refusal):
    """The queue for approval is full."""

    code = "too_many_waiting"


def enroll(pem: bytes, secret: str | None, address: str | None, now: datetime) -> Issued | EnrollmentRequest:
    """Answer a device's PEM CSR, with the secret of a token or without.

    Returns what was issued, or the request that waits for approval. What is refused, and was not allowed by
    an administrator since, is kept and raised, or a LimitReached in its stead (see `refusals.keep`).
    """
    attempt = Attempt(address)
    try:
        request = attempt.request = csr.verify(pem)
        if request.common_name is not None:
            attempt.name = request.common_name
            names.device_name(request.common_name)
        if secret is not None:
            return _with_token(attempt, request, secret, now)
        return _without_token(attempt, request, now)
    except Refusal as refusal:
        # Asked only here, so that nobody else pays for it.
        if attempt.request is not None and (allowed := lost_answers.allowed_once(attempt.request, now)):
            return allowed
        raise refusals.keep(attempt, refusal, now) from None


def refuse(refusal: Refusal, address: str | None, now: datetime) -> Refusal:
    """Keep a refusal that was made before the body was read, and hand it back to be raised."""
    return refusals.keep(Attempt(address), refusal, now)


def _with_token(attempt: Attempt, request: VerifiedRequest, secret: str, now: datetime) -> Issued:
    token = attempt.token = tokens.find(secret, now)
    device = attempt.device = token.device
    attempt.profile = device.profile if device else token.profile
    if device is not None:
        attempt.name = device.name
    try:
        with writing():
            if not tokens.claim(token, now):
                raise tokens.TokenInvalid
            actor = Actor(f"device:{device.name if device else request.common_name}", attempt.address)
            if device is None:
                device = _new_device(token, request, actor, now)
            return _issue(device, request, token, actor, now)
    except (Refusal, IntegrityError):
        # This token has given a certificate for this key already (request_once_per_token_and_key), a while or
        # a moment ago: that is the answer. Asked only here, so that a key that is new pays nothing for it.
        if healed := lost_answers.issued_before(request, now, token=token):
            return healed
        raise


def _new_device(token: EnrollmentToken, request: VerifiedRequest, actor: Actor, now: datetime) -> Device:
    name = request.common_name
    if name is None:
        raise NameMissing("Put the device's name into the CSR's CN; this token makes new devices.")
    if not tokens.matches(token, name):
        raise tokens.NameNotAllowed("This token is for devices of other names.")
    return devices.register(name, token.profile, actor, now)


def _without_token(attempt: Attempt, request: VerifiedRequest, now: datetime) -> Issued | EnrollmentRequest:
    name = request.common_name
    device = None
    if name is not None:
        device = Device.objects.select_related("profile__issuer__parent").filter(name=name).first()
    profile = device.profile if device else devices.default_profile()
    if profile.enrollment_policy == Profile.Policy.TOKEN:
        # Said before anything that depends on the device, so that strangers learn no names.
        raise tokens.TokenMissing("Enrollment needs a token; send the header: Authorization: Bearer <token>.")
    attempt.device, attempt.profile = device, profile
    if name is None:
        raise NameMissing("Put the device's name into the CSR's CN.")
    if profile.enrollment_policy == Profile.Policy.APPROVAL:
        return _await_approval(attempt, request, name, device, profile, now)
    return _open(attempt, request, name, device, profile, now)


def _open(
    attempt: Attempt,
    request: VerifiedRequest,
    name: str,
    device: Device | None,
    profile: Profile,
    now: datetime,
) -> Issued:
    actor = Actor.anonymous(attempt.address)
    try:
        with writing():
            if device is None:
                device = devices.register(name, profile, actor, now)
            else:
                # Held until the end: of many keys that want this name at once, one gets it.
                Device.objects.select_for_update().get(pk=device.pk)
                if healed := lost_answers.still_good(request, name, now):
                    return healed
                refuse_another_key(device, request)
            _spend_without_token(attempt, now)
            issued = _issue(device, request, None, actor, now)
    except devices.DeviceExists:  # made this moment, perhaps by the same CSR sent twice
        if healed := lost_answers.still_good(request, name, now):
            return healed
        raise
    log.warning("OPEN enrollment: signed for %s, whoever that was, from %s", name, attempt.address)
    return issued


def _spend_without_token(attempt: Attempt, now: datetime) -> None:
    """Raise TooManyWithoutToken if the address has had its share of what is made without any proof."""
    limits.spend(limits.without_token(attempt.address), now)


def refuse_another_key(device: Device, request: VerifiedRequest) -> None:
    """Raise AlreadyEnrolled if the device has a certificate for another key."""
    others = Certificate.objects.filter(device=device).exclude(spki_sha256=request.spki_sha256)
    if others.exists():
        raise AlreadyEnrolled(
            "This device has a certificate for another key; ask an administrator for a token."
        )


def _await_approval(
    attempt: Attempt,
    request: VerifiedRequest,
    name: str,
    device: Device | None,
    profile: Profile,
    now: datetime,
) -> Issued | EnrollmentRequest:
    if device is not None:
        issuance.require_active_device(device)
    known = EnrollmentRequest.objects.filter(name=name, spki_sha256=request.spki_sha256)
    waiting = known.filter(state=EnrollmentRequest.State.WAITING).first()
    if waiting is not None:
        return waiting
    if healed := lost_answers.still_good(request, name, now):
        return healed
    rejected = known.filter(state=EnrollmentRequest.State.REJECTED).first()
    if rejected is not None:
        raise EnrollmentRejected(rejected.reason)
    # What could never be granted is refused now, not after somebody has approved it.
    granted = grant(profile.rules, device.record if device else Record(name), request)
    if _waiting_at_least(MOST_WAITING):
        raise TooManyWaiting("Too many devices wait for approval; try again later.")
    actor = Actor.anonymous(attempt.address)
    try:
        with writing():
            _spend_without_token(attempt, now)
            waiting = EnrollmentRequest.objects.create(
                state=EnrollmentRequest.State.WAITING,
                name=name,
                device=device,
                profile=profile,
                csr_der=request.der,
                spki_sha256=request.spki_sha256,
                ignored=list(granted.ignored),
                address=attempt.address,
                created_at=now,
                last_at=now,
            )
            audit.record("enrollment.waiting", actor, now, device=device, name=name, request=str(waiting.pk))
    except IntegrityError:  # the same request came twice at once
        return known.get(state=EnrollmentRequest.State.WAITING)
    return waiting


def _waiting_at_least(number: int) -> bool:
    waiting = EnrollmentRequest.objects.filter(state=EnrollmentRequest.State.WAITING)
    return waiting[number - 1 : number].exists()


def _issue(
    device: Device,
    request: VerifiedRequest,
    token: EnrollmentToken | None,
    actor: Actor,
    now: datetime,
) -> Issued:
    issuance.require_begun_issuer(device.next_issuer(now), now)
    issued, granted = issuance.issue(device, request, actor, now)
    insert(
        EnrollmentRequest(
            state=EnrollmentRequest.State.ISSUED,
            name=device.name,
            device=device,
            profile=device.profile,
            token=token,
            certificate=issued.certificate,
            csr_der=request.der,
            spki_sha256=request.spki_sha256,
            ignored=list(granted.ignored),
            address=actor.address,
            created_at=now,
            last_at=now,
        )
    )
    return issued
