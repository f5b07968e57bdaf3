"""Allowing once what was refused: the same CSR is checked again with exactly one rule waived, on record."""

import logging
import uuid
from datetime import datetime

from pki.core.errors import Refusal
from pki.core.profiles import KeyKindRefused, NameMismatch
from pki.models import Device, EnrollmentRequest, EnrollmentToken, Profile
from pki.services import audit
from pki.services.audit import Actor
from pki.services.enrolling import enrollment, prospects, tokens
from pki.services.enrolling.prospects import Prospect
from pki.services.fleet import devices
from pki.services.issuing import issuance
from pki.services.issuing.issuance import Issued
from pki.services.transactions import writing

# Rules of who may enroll, when and under which name: an administrator may answer for these. All others
# keep keys, devices and issuers safe (a key in wrong hands, a suspended device), and are never waived.
WAIVABLE = frozenset(
    refusal.code
    for refusal in (
        tokens.TokenMissing,
        tokens.TokenInvalid,
        tokens.NameNotAllowed,
        devices.DeviceExists,
        enrollment.AlreadyEnrolled,
        enrollment.EnrollmentRejected,
        enrollment.TooManyWaiting,
        NameMismatch,
        KeyKindRefused,
    )
)
_UNDECIDED = (EnrollmentRequest.State.REFUSED, EnrollmentRequest.State.REJECTED)


class NotWaivable(Refusal):
    """The request cannot be allowed: it has no CSR, it is decided, or its rule is never waived."""

    code = "not_waivable"


def may_be_allowed(found: EnrollmentRequest) -> bool:
    """Whether a request can be allowed once, as far as it can be seen from its row."""
    return found.state in _UNDECIDED and found.csr_der is not None and found.code in WAIVABLE


def allow_once(request_id: uuid.UUID, actor: Actor, now: datetime) -> Issued:
    """Issue what a refused or rejected request asks for, with the one rule waived that had refused it.

    The device gets the certificate when it sends the same CSR again. Raises NotWaivable, and as the rules
    that still hold: what they refuse is not waived as well.
    """
    with writing():
        found = _take(request_id)
        prospect = prospects.look(found, waived=found.code)
        device = _device(found, prospect, actor, now)
        issued, granted = issuance.issue(device, prospect.request, actor, now, rules=prospect.rules)
        found.state = EnrollmentRequest.State.ISSUED
        found.waived = found.code
        found.name = device.name
        found.device = device
        found.profile = device.profile
        found.certificate = issued.certificate
        found.ignored = list(granted.ignored)
        found.decided_by = actor.user
        found.last_at = now
        # The next refusal of this kind is a new row: this one is decided.
        found.fold = None
        found.save()
        audit.record(
            "enrollment.allowed_once",
            actor,
            now,
            device=device,
            certificate=issued.certificate,
            level=logging.WARNING,
            rule=found.waived,
            request=str(found.pk),
            name=device.name,
            asked_from=found.address,
        )
    return issued


def _take(request_id: uuid.UUID) -> EnrollmentRequest:
    found = (
        EnrollmentRequest.objects.select_for_update(of=("self",))
        .select_related("device__profile__issuer__parent", "profile__issuer__parent", "token")
        .filter(pk=request_id)
        .first()
    )
    if found is None or found.state not in _UNDECIDED:
        raise NotWaivable("This request is not refused any more: it was decided meanwhile.")
    if found.csr_der is None:
        raise NotWaivable("There is no CSR that could be checked again: what was sent could not be read.")
    if found.code not in WAIVABLE:
        raise NotWaivable(f"The rule {found.code} is never waived.")
    return found


def _device(found: EnrollmentRequest, prospect: Prospect, actor: Actor, now: datetime) -> Device:
    """Whom the certificate is for, by all the rules of who may enroll but the one that is waived."""
    name, device = prospect.name, prospect.device
    if name is None:
        raise enrollment.NameMissing(
            "The CSR has no CN, and no token said which device it is: there is no name to issue to."
        )
    if found.token is not None:
        _require_token(found, found.token, name, device)
    elif (
        device is not None
        and prospect.profile.enrollment_policy == Profile.Policy.OPEN
        and found.code != enrollment.AlreadyEnrolled.code
    ):
        enrollment.refuse_another_key(device, prospect.request)
    return device or devices.register(name, prospect.profile, actor, now)


def _require_token(
    found: EnrollmentRequest, token: EnrollmentToken, name: str, device: Device | None
) -> None:
    """What the token that was sent allows still holds, unless that is what is waived."""
    if token.cancelled_at is not None and found.code != tokens.TokenInvalid.code:
        raise NotWaivable("The token that this device sent was cancelled since; that is not waived as well.")
    if token.device_id is None:
        if device is not None and found.code != devices.DeviceExists.code:
            raise devices.DeviceExists(f"The token makes new devices, and there is a {name!r} already.")
        if found.code != tokens.NameNotAllowed.code and not tokens.matches(token, name):
            raise tokens.NameNotAllowed("The token that this device sent is for devices of other names.")
    given = EnrollmentRequest.objects.filter(
        state=EnrollmentRequest.State.ISSUED, token=token, spki_sha256=found.spki_sha256
    )
    if given.exists():
        raise NotWaivable("This token has given this key a certificate since; the device has only to ask.")
