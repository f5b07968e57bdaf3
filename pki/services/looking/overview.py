"""What an administrator wants to know first: is the fleet all right?

Every query here is bounded, however large the tables are.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from pki.models import Certificate, Device, EnrollmentRequest, Issuer
from pki.services.counting import Bounded, bounded
from pki.services.issuing import listener_certificates
from pki.services.revoking import revocation

# Times that lists are narrowed to, as addresses write them.
SPANS = {"24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}
# An issuer is close to its end in the last tenth of its life, or its last ninety days if those are more.
LAST_TENTH = 10
LAST_DAYS = timedelta(days=90)


@dataclass(frozen=True)
class IssuerLife:
    """How much of an issuer's life is left."""

    issuer: Issuer
    days_left: int  # negative once it has ended
    percent_left: int  # 0 to 100
    near_end: bool


def expiring(now: datetime) -> dict[str, Bounded]:
    """How many certificates that are not revoked end within each of SPANS."""
    return {
        name: bounded(
            Certificate.objects.filter(revocation.unrevoked(), not_after__gt=now, not_after__lte=now + span)
        )
        for name, span in SPANS.items()
    }


def waiting() -> Bounded:
    """How many enrollments wait for approval."""
    return bounded(EnrollmentRequest.objects.filter(state=EnrollmentRequest.State.WAITING))


def latest_requests(state: EnrollmentRequest.State, number: int) -> list[EnrollmentRequest]:
    """The last enrollment requests of a state, the newest first."""
    return list(
        EnrollmentRequest.objects.select_related("device", "profile")
        .filter(state=state)
        .order_by("-last_at")[:number]
    )


def rotating() -> Bounded:
    """How many devices are to have a new key and have not shown it yet."""
    return bounded(Device.objects.filter(rotation_requested_at__isnull=False))


def issuers(now: datetime) -> list[IssuerLife]:
    """The issuers that sign, the one that ends first at the top."""
    return [
        _life(issuer, now)
        for issuer in Issuer.objects.filter(state=Issuer.State.ACTIVE).order_by("not_after", "pk")
    ]


def overdue_listeners(listeners: list[str], now: datetime) -> list[str]:
    """Which of these listeners have certificates, but none on this node that is good for a while."""
    overdue = []
    for listener in listener_certificates.certified(listeners):
        certificate = listener_certificates.current(listener, now)
        if certificate is None or listener_certificates.is_due(certificate, now):
            overdue.append(listener)
    return overdue


def _life(issuer: Issuer, now: datetime) -> IssuerLife:
    whole, left = issuer.not_after - issuer.not_before, issuer.not_after - now
    return IssuerLife(
        issuer=issuer,
        days_left=left.days,
        percent_left=max(0, min(100, round(100 * (left / whole)))),
        near_end=left <= max(min(LAST_DAYS, whole / 3), whole / LAST_TENTH),
    )
