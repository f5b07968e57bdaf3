"""What the index of an imported CA revokes: certificates, CAs below it, serials of unknown certificates."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from pki.models import FULL, AuditEvent, Certificate, Issuer, Revocation, RevokedSerial, StaleList
from pki.services import audit
from pki.services.audit import Actor
from pki.services.issuing import authorities
from pki.services.moving.issued import Copy, Remark, Revoked, Unseen
from pki.services.moving.outcome import Outcome
from pki.services.publishing import revocation_lists
from pki.services.revoking import revocation
from pki.services.revoking.revocation import HOLD

_BATCH = 1_000  # rows of one statement, and serials of one event


def revoke(
    issuer: Issuer,
    copies: Sequence[Copy],
    rows: dict[str, Certificate],
    actor: Actor,
    now: datetime,
    done: Outcome,
) -> None:
    """Revoke what the index says, and what an earlier one said of a serial without a copy."""
    here = Revocation.objects.filter(certificate__issuer=issuer)
    revoked = dict(here.values_list("certificate__serial", "reason"))
    unseen = {each.serial: each for each in RevokedSerial.objects.filter(issuer=issuer)}
    lifted = _lifted(issuer)
    added = []
    for_good: dict[Revocation.Reason, list[Certificate]] = defaultdict(list)
    for copy in copies:
        row = rows[copy.serial]
        said = copy.revoked or _said(unseen.get(copy.serial))
        if said is None:
            continue
        if copy.serial in revoked:
            if revoked[copy.serial] == HOLD and said.reason != HOLD:
                for_good[said.reason].append(row)
            continue
        if said.reason == HOLD and row.pk in lifted and said.at <= lifted[row.pk]:
            done.remarks.append(Remark(copy.where, "not put on hold again: the hold was lifted here since"))
            continue
        added.append(
            Revocation(certificate=row, reason=said.reason, revoked_at=said.at, revoked_by=actor.user)
        )
    Revocation.objects.bulk_create(added, batch_size=_BATCH)
    revocation_lists.note((each.certificate for each in added), now)
    audit.record_each(
        "certificate.revoked",
        actor,
        now,
        [(each.certificate, _in_words(each, issuer)) for each in added],
        level=logging.WARNING,
    )
    done.revoked = len(added)
    for reason, held in for_good.items():
        done.revoked += len(revocation.revoke(held, reason, actor, now, _note(issuer)))


def _lifted(issuer: Issuer) -> dict[int, datetime]:
    """When holds were lifted here last, by the numbers of the certificates."""
    events = AuditEvent.objects.filter(kind="certificate.hold_lifted", certificate__issuer=issuer)
    return dict(events.order_by("pk").values_list("certificate", "at"))


def _in_words(revoked: Revocation, issuer: Issuer) -> dict[str, str]:
    return {
        "name": revoked.certificate.common_name,
        "reason": str(revoked.reason),
        "revoked_at": revoked.revoked_at.isoformat(timespec="seconds"),
        "note": _note(issuer),
    }


def _note(issuer: Issuer) -> str:
    return f"by the index of {issuer}"


def _said(earlier: RevokedSerial | None) -> Revoked | None:
    return Revoked(earlier.revoked_at, Revocation.Reason(earlier.reason)) if earlier else None


def without_authorities(
    issuer: Issuer, unseen: Iterable[Unseen], actor: Actor, now: datetime, done: Outcome
) -> list[Unseen]:
    """Declare compromised what the index revokes of the CAs below that are here, and leave it out: lists and
    OCSP answers know them by their state alone. A hold too, since whoever reads the list refuses them.
    """
    below = {f"{each.certificate.serial_number:x}": each for each in issuer.subordinates.order_by("pk")}
    for each in unseen:
        authority = below.get(each.serial)
        if authority is None:
            continue
        done.remarks.append(Remark(each.where, f"{authority} is here: it is declared compromised, for good"))
        compromised = Issuer.State.COMPROMISED
        done.authorities += authorities.change_state(authority, compromised, actor, now)
    return [each for each in unseen if each.serial not in below]


def keep_unseen(issuer: Issuer, unseen: Iterable[Unseen], actor: Actor, now: datetime, done: Outcome) -> None:
    here = set(RevokedSerial.objects.filter(issuer=issuer).values_list("serial", flat=True))
    added = [
        RevokedSerial(
            issuer=issuer,
            serial=each.serial,
            subject=each.subject,
            reason=each.revoked.reason,
            revoked_at=each.revoked.at,
            not_after=each.not_after,
        )
        for each in unseen
        if each.serial not in here
    ]
    RevokedSerial.objects.bulk_create(added, batch_size=_BATCH)
    if added:
        StaleList.objects.create(issuer=issuer, shard=FULL, at=now)
    for start in range(0, len(added), _BATCH):
        serials = {each.serial: str(each.reason) for each in added[start : start + _BATCH]}
        audit.record(
            "issuer.serials_revoked", actor, now, level=logging.WARNING, issuer=issuer.name, serials=serials
        )
    done.unseen = len(added)
