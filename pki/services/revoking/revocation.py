"""Revoking certificates, and lifting the hold of one. It takes effect at its next request, on every node."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.expressions import Combinable

from pki.core import identifiers
from pki.core.errors import Refusal
from pki.models import AuditEvent, Certificate, Device, Revocation
from pki.services import audit
from pki.services.audit import Actor
from pki.services.publishing import revocation_lists
from pki.services.transactions import writing

HOLD = Revocation.Reason.CERTIFICATE_HOLD
# Certificates that are revoked in one transaction.
MOST_AT_ONCE = 10_000
_BATCH = 1_000  # rows of one statement
_NOTHING_LEFT = "There is nothing left to revoke: it is revoked already."
_HELD_ALREADY = "There is nothing left to put on hold: it is on hold already."


class CertificateUnknown(Refusal):
    """There is no such certificate."""

    code = "certificate_unknown"


class AlreadyRevoked(Refusal):
    """Every certificate that was named is revoked already; when and why does not change."""

    code = "already_revoked"


class NotHeld(Refusal):
    """Only certificateHold can be lifted, and a certificate that was named is not on hold."""

    code = "not_held"


def unrevoked() -> Combinable:
    """The condition that a certificate is not revoked.

    `revocation=None` says the same; PostgreSQL then takes it that there are none, and reads and sorts all.
    """
    return ~Exists(Revocation.objects.filter(certificate=OuterRef("pk")))


def living(device: Device, now: datetime) -> QuerySet[Certificate]:
    """A device's certificates that are neither revoked nor expired."""
    return Certificate.objects.filter(device=device, revocation=None, not_after__gte=now)


def revocable(devices: QuerySet[Device], now: datetime) -> QuerySet[Certificate]:
    """What there is to revoke of these devices: their certificates that live, or are on hold."""
    open_still = Q(revocation=None) | Q(revocation__reason=HOLD)
    return Certificate.objects.filter(open_still, device__in=devices.values("pk"), not_after__gte=now)


def in_short(certificates: QuerySet[Certificate]) -> QuerySet[Certificate]:
    """Certificates with what revoking needs of them, and without their bytes."""
    return (
        certificates.select_related(None)
        .select_related("device")
        .only(
            "serial",
            "common_name",
            "spki_sha256",
            "listener",
            "not_after",
            "issuer_id",
            "crl_shard",
            "device__name",
        )
    )


def on_hold(device: Device) -> QuerySet[Certificate]:
    """A device's certificates that are on hold."""
    return Certificate.objects.filter(device=device, revocation__reason=HOLD)


def find_by_serial(text: str) -> Certificate:
    """The certificate of a serial in any usual writing: hex, with colons, spaces or `0x`, or decimal.

    Raises CertificateUnknown, also where two issuers gave the same serial.
    """
    certificates = Certificate.objects.select_related("device", "issuer")
    found = list(certificates.filter(serial__in=identifiers.serials(text))[:2])
    if len(found) != 1:
        raise CertificateUnknown(f"There is no certificate with the serial {text!r}.")
    return found[0]


def revoke(
    certificates: Iterable[Certificate],
    reason: Revocation.Reason,
    actor: Actor,
    now: datetime,
    note: str = "",
) -> list[Revocation]:
    """Revoke certificates, all in one transaction; those that are revoked already are passed over.

    One on hold is revoked for good, unless the reason is certificateHold again. The note is kept in the
    audit trail alone. Raises AlreadyRevoked if nothing is left to revoke.
    """
    named = {certificate.pk: certificate for certificate in certificates}
    with writing():
        earlier = _locked(named)
        held = {pk: each for pk, each in earlier.items() if each.reason == HOLD and reason != HOLD}
        chosen = [each for pk, each in named.items() if pk in held or pk not in earlier]
        if not chosen:
            raise AlreadyRevoked(_said_of(earlier))
        _delete(held.values())
        revocations = Revocation.objects.bulk_create(
            [
                Revocation(
                    certificate=each,
                    reason=reason,
                    # X.509: what is revoked after a hold is so since the hold began.
                    revoked_at=held[each.pk].revoked_at if each.pk in held else now,
                    revoked_by=actor.user,
                )
                for each in chosen
            ],
            batch_size=_BATCH,
        )
        revocation_lists.note(chosen, now)
        why = {"reason": str(reason), "note": note}
        entries = [(each, {"name": each.common_name, **why, **_hold(held.get(each.pk))}) for each in chosen]
        audit.record_each("certificate.revoked", actor, now, entries, level=logging.WARNING)
    return revocations


def revoke_all(
    certificates: QuerySet[Certificate],
    reason: Revocation.Reason,
    actor: Actor,
    now: datetime,
    note: str = "",
) -> int:
    """Revoke as many as there are, MOST_AT_ONCE in a transaction, until none is left; how many.

    Broken off, what was revoked stays so, and it can be done again. Raises as `revoke`.
    """
    revoked = last = 0
    # Asked again at the end: what was issued in the meantime is revoked too.
    while numbers := list(certificates.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)):
        for start in range(0, len(numbers), MOST_AT_ONCE):
            some = Certificate.objects.filter(pk__in=numbers[start : start + MOST_AT_ONCE])
            try:
                revoked += len(revoke(in_short(some), reason, actor, now, note))
            except AlreadyRevoked:
                continue
        last = numbers[-1]
    if not revoked:
        raise AlreadyRevoked(_NOTHING_LEFT)
    return revoked


def lift(certificates: Iterable[Certificate], actor: Actor, now: datetime, note: str = "") -> int:
    """End the hold of certificates, all or none: they are good again; how many. Raises NotHeld."""
    named = {certificate.pk: certificate for certificate in certificates}
    with writing():
        held = {pk: each for pk, each in _locked(named).items() if each.reason == HOLD}
        others = [str(each) for pk, each in named.items() if pk not in held]
        if others or not held:
            raise NotHeld(_not_held(others))
        _delete(held.values())
        revocation_lists.note(named.values(), now)
        notes = _notes(named)
        entries = [
            (each, {"name": each.common_name, "note": note, **_hold(held[pk]), "held_because": notes.get(pk)})
            for pk, each in named.items()
        ]
        audit.record_each("certificate.hold_lifted", actor, now, entries, level=logging.WARNING)
    return len(held)


def _notes(named: dict[int, Certificate]) -> dict[int, str]:
    """What was noted when certificates were revoked last, by their numbers."""
    notes: dict[int, str] = {}
    for numbers in _batches(list(named)):
        events = AuditEvent.objects.filter(kind="certificate.revoked", certificate__in=numbers).order_by("pk")
        for number, detail in events.values_list("certificate", "detail"):
            notes[number] = detail.get("note", "")
    return notes


def _not_held(others: list[str]) -> str:
    if not others:
        return "There is nothing to lift: no certificate was chosen."
    more = f" and {len(others) - 1:,} more" if len(others) > 1 else ""
    return (
        f"{others[0]}{more}: not on hold. Only certificateHold can be lifted; what is revoked for another "
        "reason stays revoked. Nothing was lifted."
    )


def _said_of(earlier: dict[int, Revocation]) -> str:
    """Why nothing is left of certificates with these revocations."""
    only_held = earlier and all(each.reason == HOLD for each in earlier.values())
    return _HELD_ALREADY if only_held else _NOTHING_LEFT


def _hold(held: Revocation | None) -> dict[str, str | None]:
    """What the audit trail keeps of a hold that ends."""
    if held is None:
        return {}
    return {
        "held_since": held.revoked_at.isoformat(timespec="seconds"),
        "held_by": held.revoked_by.get_username() if held.revoked_by else None,
    }


def _locked(named: dict[int, Certificate]) -> dict[int, Revocation]:
    """Certificates' revocations, by the certificates' numbers. Nobody else changes them in the meantime."""
    earlier: dict[int, Revocation] = {}
    # In one order, so that two who revoke the same do not deadlock.
    for numbers in _batches(sorted(named)):
        rows = Certificate.objects.filter(pk__in=numbers).order_by("pk").values_list("pk")
        list(rows.select_for_update(no_key=True))
        for each in Revocation.objects.filter(certificate__in=numbers).select_related("revoked_by"):
            earlier[each.certificate_id] = each
    return earlier


def _delete(revocations: Iterable[Revocation]) -> None:
    for numbers in _batches([each.pk for each in revocations]):
        Revocation.objects.filter(pk__in=numbers, reason=HOLD).delete()


def _batches(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(numbers), _BATCH):
        yield numbers[start : start + _BATCH]
