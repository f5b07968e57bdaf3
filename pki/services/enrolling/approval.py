"""Deciding on enrollment requests that wait for an administrator."""

import uuid
from collections.abc import Iterable
from datetime import datetime

from pki.core.errors import Refusal
from pki.models import EnrollmentRequest
from pki.services import audit
from pki.services.audit import Actor
from pki.services.enrolling import prospects
from pki.services.fleet import devices
from pki.services.issuing import issuance
from pki.services.issuing.issuance import Issued
from pki.services.transactions import writing


class NotWaiting(Refusal):
    """The request was decided already."""

    code = "not_waiting"


class NotApproved(Refusal):
    """One of several requests cannot be approved, so that none of them was."""

    code = "not_approved"


def approve(request_id: uuid.UUID, actor: Actor, now: datetime) -> Issued:
    """Issue what a waiting request asks for; its device fetches it when it asks again.

    Raises NotWaiting, and what issuance raises; the request then goes on waiting.
    """
    with writing():
        waiting = _take(request_id)
        asked = prospects.look(waiting)
        device = asked.device or devices.register(waiting.name, asked.profile, actor, now)
        issued, _ = issuance.issue(device, asked.request, actor, now)
        waiting.state = EnrollmentRequest.State.ISSUED
        waiting.device = device
        waiting.certificate = issued.certificate
        waiting.decided_by = actor.user
        waiting.last_at = now
        waiting.save()
        audit.record("enrollment.approved", actor, now, device=device, request=str(waiting.pk))
    return issued


def approve_all(request_ids: Iterable[uuid.UUID], actor: Actor, now: datetime) -> int:
    """Approve all of these or none; how many. Raises NotApproved, which says where it failed and why."""
    approved, current = 0, None
    try:
        with writing():
            for current in request_ids:
                approve(current, actor, now)
                approved += 1
    except Refusal as refusal:
        found = EnrollmentRequest.objects.filter(pk__in=[current] if current else []).only("name").first()
        name = found.name if found else "A request"
        raise NotApproved(f"{name}: {refusal.detail} Nothing was approved.") from refusal
    return approved


def reject_all(request_ids: Iterable[uuid.UUID], message: str, actor: Actor, now: datetime) -> int:
    """Reject all of these or none; how many. Raises NotWaiting."""
    rejected = 0
    with writing():
        for request_id in request_ids:
            reject(request_id, message, actor, now)
            rejected += 1
    return rejected


def reject(request_id: uuid.UUID, message: str, actor: Actor, now: datetime) -> None:
    """Turn a waiting request down, with a message that its device is shown. Raises NotWaiting."""
    with writing():
        waiting = _take(request_id)
        waiting.state = EnrollmentRequest.State.REJECTED
        waiting.code = "enrollment_rejected"
        waiting.reason = message[:500] or "An administrator rejected this enrollment."
        waiting.decided_by = actor.user
        waiting.last_at = now
        waiting.save()
        audit.record(
            "enrollment.rejected",
            actor,
            now,
            device=waiting.device,
            request=str(waiting.pk),
            name=waiting.name,
            reason=waiting.reason,
        )


def _take(request_id: uuid.UUID) -> EnrollmentRequest:
    waiting = (
        EnrollmentRequest.objects.select_for_update(of=("self",))
        .select_related("device__profile__issuer__parent", "profile__issuer__parent")
        .filter(pk=request_id, state=EnrollmentRequest.State.WAITING)
        .first()
    )
    if waiting is None:
        raise NotWaiting("This request does not wait for approval any more.")
    return waiting
