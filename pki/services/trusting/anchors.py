"""The roots that devices are to trust: those by which they check our listeners, now and after a rollover."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet

from pki.models import Certificate, Issuer, Profile
from pki.services.issuing import listener_certificates
from pki.services.issuing.listener_certificates import SERVER_PROFILE
from pki.services.revoking import revocation

# Long after each node that runs has followed the listeners' profile, which it looks at once a minute.
REPLACED_EVERYWHERE = timedelta(hours=1)


@dataclass(frozen=True)
class Anchors:
    """The roots that devices are to trust, the oldest first, and those by which they may check that."""

    trusted: list[Issuer]
    vouching: list[Issuer]  # the active ones first


def anchors(now: datetime) -> Anchors:
    """Whom devices are to trust; nobody if no root of theirs stands.

    They are the roots above the listeners' certificates and the listeners' profile, and those that an
    administrator published, with those that came before and after them. Roots that are for clients alone are
    not among them: whoever had such a key could play our server. A compromised root is none, and a retired
    one only while a listener's certificate hangs on it; but one that is retired vouches for the others, to
    devices that have not heard of them yet.
    """
    issuers = {issuer.pk: issuer for issuer in Issuer.objects.order_by("pk")}
    shown, named = _shown(issuers, now), _named(issuers)
    published = {root.pk for root in issuers.values() if root.is_root and root.published_at is not None}
    family = [
        issuers[number] for number in sorted(_with_relatives(shown | named | published, issuers.values()))
    ]
    standing = [root for root in family if stands(root, now)]
    return Anchors(
        trusted=[root for root in standing if _is_active(root) or root.pk in shown],
        vouching=sorted(standing, key=lambda root: not _is_active(root)),
    )


def needed(now: datetime) -> set[int]:
    """The numbers of the roots by which our listeners are checked, now or soon."""
    issuers = {issuer.pk: issuer for issuer in Issuer.objects.order_by("pk")}
    return _shown(issuers, now) | _named(issuers)


def stands(root: Issuer, now: datetime) -> bool:
    """Whether anybody may trust a root at all."""
    return root.state != Issuer.State.COMPROMISED and root.not_after > now


def listener_keys(now: datetime) -> list[tuple[str, str]]:
    """The keys of the listeners' certificates that stand, of all nodes: listener and SPKI's SHA-256, hex."""
    rows = _of_listeners(now).values_list("listener", "spki_sha256").order_by("listener", "spki_sha256")
    return list(rows.distinct())


def _of_listeners(now: datetime) -> QuerySet[Certificate]:
    return listener_certificates.living(now).filter(revocation.unrevoked())


def _named(issuers: dict[int, Issuer]) -> set[int]:
    profiles = Profile.objects.filter(name=SERVER_PROFILE)
    return {_root(number, issuers) for number in profiles.values_list("issuer", flat=True)}


def _shown(issuers: dict[int, Issuer], now: datetime) -> set[int]:
    """The roots above what the listeners of all nodes show.

    Nobody knows which node has which certificate, nor need: a listener that was given one of another root
    later has been given one on every node that runs, within minutes.
    """
    rows = _of_listeners(now).exclude(issuer__state=Issuer.State.COMPROMISED)
    given = [
        (listener, _root(number, issuers), at)
        for listener, number, at in rows.values_list("listener", "issuer", "issued_at")
    ]
    return {
        root
        for listener, root, at in given
        if not any(
            other == listener and another != root and at < later <= now - REPLACED_EVERYWHERE
            for other, another, later in given
        )
    }


def _root(number: int, issuers: dict[int, Issuer]) -> int:
    parent = issuers[number].parent_id
    return number if parent is None else _root(parent, issuers)


def _with_relatives(roots: Iterable[int], issuers: Iterable[Issuer]) -> set[int]:
    """These roots, and those that came before and after them."""
    links = [
        (issuer.pk, issuer.predecessor_id)
        for issuer in issuers
        if issuer.is_root and issuer.predecessor_id is not None
    ]
    found = set(roots)
    while True:
        joined = {number for link in links if found & set(link) for number in link}
        if joined <= found:
            return found
        found |= joined


def _is_active(root: Issuer) -> bool:
    return root.state == Issuer.State.ACTIVE
