"""What a database must forget, and what it must fear, when it is put back to an earlier day."""

import logging
from dataclasses import dataclass
from datetime import datetime

from django.contrib.sessions.models import Session
from django.db.models import F, Max

from pki.models import EnrollmentToken, Issuer, RevocationList
from pki.services import audit
from pki.services.audit import Actor
from pki.services.keeping.manifest import Manifest
from pki.services.transactions import writing


@dataclass(frozen=True)
class Settled:
    """What was changed in a restored database."""

    crl_floor: int  # new CRLs have higher numbers
    tokens_cancelled: int


def settle(restored: Manifest, actor: Actor, now: datetime, *, keep_tokens: bool) -> Settled:
    """Make a restored database fit to be served: in one transaction, before anything is."""
    with writing():
        settled = Settled(_raise_crl_numbers(now), 0 if keep_tokens else _cancel_tokens(now))
        # Who has logged out since would be logged in again.
        Session.objects.all().delete()
        audit.record(
            "installation.restored",
            actor,
            now,
            level=logging.WARNING,
            backup_of=restored.made_at.isoformat(timespec="seconds"),
            version=restored.version,
            crl_floor=settled.crl_floor,
            tokens_cancelled=settled.tokens_cancelled,
        )
    return settled


def _raise_crl_numbers(now: datetime) -> int:
    """Let no CRL number come again, whatever was published since the backup; above which they are now.

    Numbers begin at 1, and no list gets two in one second (`publication._is_dated_now`), so that none has
    come to the seconds since 1970; after an earlier restore they went on from there as slowly.
    """
    highest = RevocationList.objects.aggregate(highest=Max("number"))["highest"] or 0
    floor = max(highest, int(now.timestamp()))
    # All lists of an issuer, also those that it had opened since the backup and will open again.
    Issuer.objects.update(crl_floor=floor)
    # What is stored may be older than what was served last: nobody is given it any more.
    living = RevocationList.objects.filter(number__gt=0, renew_at__isnull=False, next_update__gt=now)
    living.update(next_update=now, renew_at=now)
    return floor


def _cancel_tokens(now: datetime) -> int:
    """Cancel the tokens that were open: each may have been used since the backup."""
    return EnrollmentToken.objects.filter(
        cancelled_at=None, expires_at__gt=now, uses__lt=F("uses_allowed")
    ).update(cancelled_at=now)
