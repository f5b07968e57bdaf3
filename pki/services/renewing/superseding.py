"""Revoking what was renewed, once the new certificate has been in use for as long as the profile says."""

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Q

from pki.models import Certificate, Device, Renewal, Revocation
from pki.services.audit import HATCHERY
from pki.services.issuing.dependence import lost
from pki.services.revoking import revocation
from pki.services.transactions import writing

BATCH = 500  # in one transaction


def supersede_due(now: datetime) -> int:
    """Revoke, as superseded, the certificates whose time has come; how many.

    Several nodes may do it at once. Broken off, what is left is done the next time.
    """
    superseded = 0
    while True:
        try:
            found, revoked = _next_batch(now)
        except revocation.AlreadyRevoked:
            continue  # somebody was quicker, and is seen now
        superseded += revoked
        if found < BATCH:
            return superseded


def _next_batch(now: datetime) -> tuple[int, int]:
    """How many were due, and how many were revoked."""
    with writing():
        due = Renewal.objects.filter(supersede_at__lte=now).order_by("supersede_at", "pk")
        # Those that another node is at, or whose device shows its new certificate at this moment, are left
        # to them, and to the next time.
        batch = list(due.select_for_update(of=("self",), no_key=True, skip_locked=True)[:BATCH])
        standing = _standing(batch, now)
        in_use = [each for each in batch if each.certificate_id in standing]
        others = [each.pk for each in batch if each.certificate_id not in standing]
        Renewal.objects.filter(pk__in=[each.pk for each in in_use]).update(supersede_at=None)
        # Their devices are not to be left with nothing. Should one show its new certificate after all, as
        # when a hold was lifted, it counts as the first time.
        Renewal.objects.filter(pk__in=others).update(supersede_at=None, used_at=None)
        return len(batch), _revoke(in_use, now)


def _standing(batch: Iterable[Renewal], now: datetime) -> set[int]:
    """The numbers of the new certificates on which their devices can rely at this moment."""
    new = Certificate.objects.filter(
        pk__in=[each.certificate_id for each in batch],
        revocation=None,
        not_after__gte=now,
        device__state=Device.State.ACTIVE,
    )
    return set(new.exclude(issuer__in=lost()).values_list("pk", flat=True))


def _revoke(in_use: Iterable[Renewal], now: datetime) -> int:
    open_still = Q(revocation=None) | Q(revocation__reason=revocation.HOLD)
    over = {each.replaced_id for each in in_use} | _lost(in_use)
    before = Certificate.objects.filter(open_still, pk__in=over, not_after__gte=now)
    certificates = list(revocation.in_short(before))
    if not certificates:
        return 0
    return len(revocation.revoke(certificates, Revocation.Reason.SUPERSEDED, HATCHERY, now))


def _lost(in_use: Iterable[Renewal]) -> set[int]:
    """The numbers of certificates that were given for the same ones earlier, and never shown: their answers
    were lost, and their keys may lie anywhere. A later one may be on its way.
    """
    newest: dict[int, int] = {}
    for each in in_use:
        newest[each.replaced_id] = max(each.pk, newest.get(each.replaced_id, 0))
    unused = Renewal.objects.filter(replaced__in=newest, used_at=None)
    return {
        certificate
        for number, replaced, certificate in unused.values_list("pk", "replaced", "certificate")
        if number < newest[replaced]
    }
