"""Issuers: making them, and what their certificates must know of them."""

import logging
from datetime import datetime, timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.conf import settings

from pki.core import certificates, keys, names, pins
from pki.core.certificates import Authority, Pointers
from pki.core.errors import Refusal
from pki.keystore import keystore
from pki.models import FULL, Issuer
from pki.services import audit
from pki.services.audit import Actor
from pki.services.issuing.dependence import dependents, with_those_below
from pki.services.publishing import revocation_lists
from pki.services.rotating import overrides
from pki.services.transactions import writing

ROOT_LIFETIME = timedelta(days=20 * 365)
SUBORDINATE_LIFETIME = timedelta(days=10 * 365)


def pointers(issuer: Issuer, shard: int) -> Pointers:
    """Where certificates of `issuer` send their verifiers, on the status listener.

    Their CRL is that of a shard, or the full one (FULL).
    """
    base = settings.PORTAL_STATUS_URL
    return Pointers(
        ca=f"{base}/ca/{issuer.key_identifier}.crt",
        ocsp=f"{base}/ocsp",
        crl=revocation_lists.url(issuer, shard),
    )


def authority(issuer: Issuer) -> Authority:
    """`issuer` as end entities' certificates that are made now know it; they name its open shard."""
    return Authority(issuer.certificate, pointers(issuer, issuer.open_shard))


def chain(issuer: Issuer) -> list[x509.Certificate]:
    """The CA certificates that lead from `issuer` towards its root, without the root.

    RFC 5246 7.4.2 lets the root be left out: who trusts it has it.
    """
    return list(path(issuer.pk, issuer.fingerprint)[:-1])


# By the fingerprint as well, because a database that was restored may give a number to another issuer.
# What is kept never changes (pki.models.immutable).
@lru_cache(maxsize=256)
def path(issuer_id: int, fingerprint: str) -> tuple[x509.Certificate, ...]:
    """The CA certificates from an issuer, by its number and its certificate's fingerprint, to its root."""
    above: list[x509.Certificate] = []
    current: Issuer | None = Issuer.objects.get(pk=issuer_id)
    while current is not None:
        above.append(current.certificate)
        current = current.parent
    return tuple(above)


def root_of(issuer: Issuer) -> Issuer:
    """The root that `issuer` leads to; itself, if it is one."""
    while issuer.parent is not None:
        issuer = issuer.parent
    return issuer


def trusted(now: datetime) -> tuple[list[Issuer], datetime]:
    """The issuers that live and are to be trusted, roots first, and since when it is these.

    Neither they nor any above them is compromised. Before the first issuer: none, since `now`.
    """
    issuers = {issuer.pk: issuer for issuer in Issuer.objects.order_by("pk")}
    moments = [moment for issuer in issuers.values() for moment in _turns(issuer) if moment <= now]

    def stands(issuer: Issuer) -> bool:
        if issuer.not_after <= now or issuer.state == Issuer.State.COMPROMISED:
            return False
        return issuer.parent_id is None or stands(issuers[issuer.parent_id])

    standing = [issuer for issuer in issuers.values() if stands(issuer)]
    return sorted(standing, key=lambda issuer: not issuer.is_root), max(moments, default=now)


def _turns(issuer: Issuer) -> list[datetime]:
    moments = [issuer.created_at, issuer.not_after, issuer.compromised_at]
    return [moment for moment in moments if moment is not None]


class IssuerExists(Refusal):
    """There is an issuer of this name already."""

    code = "issuer_exists"


class ParentInactive(Refusal):
    """The issuer above was retired or declared compromised."""

    code = "issuer_inactive"


class CompromisedForGood(Refusal):
    """An issuer whose key was in wrong hands does not come back."""

    code = "issuer_compromised"


class IssuerInUse(Refusal):
    """Something that lives depends on the issuer, and it is to be retired."""

    code = "issuer_in_use"


def change_state(
    issuer: Issuer, state: Issuer.State, actor: Actor, now: datetime, confirmed_name: str = ""
) -> bool:
    """Retire an issuer, take it back, or declare it compromised; whether it was in another state before.

    It takes effect at the next request. Devices for which a campaign had decided on it follow their profiles
    again. `confirmed_name` is the issuer's, from who knows that something depends on it and retires it
    nevertheless. Raises CompromisedForGood or IssuerInUse.
    """
    with writing():
        # Not against those that refer to it: campaigns hold devices, and set what is dropped here.
        held = Issuer.objects.select_for_update(no_key=True).get(pk=issuer.pk)
        if held.state == state:
            return False
        if held.state == Issuer.State.COMPROMISED:
            raise CompromisedForGood(f"{issuer} is compromised, and stays so; make another issuer.")
        if state == Issuer.State.RETIRED and confirmed_name != held.name:
            _require_unused(held, now)
        compromised_at = now if state == Issuer.State.COMPROMISED else None
        Issuer.objects.filter(pk=issuer.pk).update(state=state, compromised_at=compromised_at)
        revocation_lists.note_issuer(held, now)
        audit.record(
            f"issuer.{state}",
            actor,
            now,
            level=logging.WARNING,
            issuer=issuer.name,
            before=held.state,
            devices_follow_profiles=_let_devices_go(held, state) or None,
        )
    issuer.state, issuer.compromised_at = state, compromised_at
    return True


def _let_devices_go(issuer: Issuer, state: Issuer.State) -> int:
    """Have devices follow their profiles again, if what a campaign decided on cannot sign; how many."""
    if state == Issuer.State.ACTIVE:
        return 0
    if state == Issuer.State.RETIRED:
        return overrides.drop_of_issuer(issuer)
    return overrides.drop_of_lost(with_those_below(issuer))


def _require_unused(issuer: Issuer, now: datetime) -> None:
    depending = dependents(issuer, now)
    if depending:
        raise IssuerInUse(
            f"{issuer} is in use: {depending}. Move what depends on it to its successor first; or give its "
            "name, exactly, to retire it nevertheless."
        )


def make_root(name: str, spec: str, actor: Actor, now: datetime) -> Issuer:
    """Make a root CA with a new key of kind `spec`.

    Raises IssuerExists, NameRefused, KeyRefused or KeystoreError.
    """
    require_free(name)
    return root_with(name, keystore().create("issuer", spec), actor, now)


def make_subordinate(name: str, parent: Issuer, spec: str, actor: Actor, now: datetime) -> Issuer:
    """Make an issuing CA under `parent`. Raises as `make_root`, and ParentInactive or IssuerExpired."""
    require_active(parent)
    require_free(name)
    return subordinate_with(name, parent, keystore().create("issuer", spec), actor, now)


def root_with(
    name: str, reference: str, actor: Actor, now: datetime, predecessor: Issuer | None = None
) -> Issuer:
    """Make a root CA with the key of this reference. Raises NameRefused or KeystoreError."""
    key = keystore().public_key(reference)
    to_be_signed = certificates.root(names.subject({"CN": name}), key, ROOT_LIFETIME, now)
    signed = keystore().sign(reference, to_be_signed)
    return _store(name, None, predecessor, reference, signed, actor, now)


def subordinate_with(
    name: str, parent: Issuer, reference: str, actor: Actor, now: datetime, predecessor: Issuer | None = None
) -> Issuer:
    """Make an issuing CA under `parent` with the key of this reference. Raises as `root_with`, and
    IssuerExpired.
    """
    key = keystore().public_key(reference)
    # CA certificates are few: they name the full list.
    above = Authority(parent.certificate, pointers(parent, FULL))
    to_be_signed = certificates.subordinate(
        names.subject({"CN": name}), key, SUBORDINATE_LIFETIME, above, now
    )
    signed = keystore().sign(parent.key_reference, to_be_signed)
    return _store(name, parent, predecessor, reference, signed, actor, now)


def require_active(parent: Issuer) -> None:
    """Raise ParentInactive unless `parent` may sign CAs below it."""
    if parent.state != Issuer.State.ACTIVE:
        raise ParentInactive(f"{parent} is {parent.state}; choose an active root.")
    # One that was made elsewhere may say so (RFC 5280 4.2.1.9); a root of ours never does.
    if parent.is_root and not certificates.has_room(parent.certificate, 1):
        raise ParentInactive(f"{parent} has a path length of 0: no CA may stand below it. Make a root.")


def require_free(name: str) -> None:
    """Raise IssuerExists or NameRefused unless a new issuer may have this name.

    Asked before a key is made for nothing; the database holds it too.
    """
    if Issuer.objects.filter(name=name).exists():
        raise IssuerExists(f"There is an issuer {name!r} already; choose another name.")
    names.subject({"CN": name})


def keep_imported(
    name: str,
    parent: Issuer | None,
    reference: str,
    certificate: x509.Certificate,
    crl_floor: int,
    actor: Actor,
    now: datetime,
) -> Issuer:
    """Put a CA on record that was made elsewhere; its key has this reference. Its CRLs get numbers above
    `crl_floor`.
    """
    return _store(
        name, parent, None, reference, certificate, actor, now, kind="issuer.imported", crl_floor=crl_floor
    )


def _store(
    name: str,
    parent: Issuer | None,
    predecessor: Issuer | None,
    reference: str,
    signed: x509.Certificate,
    actor: Actor,
    now: datetime,
    *,
    kind: str = "issuer.made",
    crl_floor: int = 0,
) -> Issuer:
    with writing():
        issuer = Issuer.objects.create(
            name=name,
            parent=parent,
            predecessor=predecessor,
            key_reference=reference,
            key_identifier=certificates.key_identifier(signed),
            certificate_der=signed.public_bytes(Encoding.DER),
            fingerprint=pins.fingerprint_of(signed),
            not_before=signed.not_valid_before_utc,
            not_after=signed.not_valid_after_utc,
            created_at=now,
            crl_floor=crl_floor,
        )
        revocation_lists.open_for(issuer, now)
        audit.record(
            kind,
            actor,
            now,
            issuer=name,
            parent=parent.name if parent else None,
            predecessor=predecessor.name if predecessor else None,
            key=keys.describe(signed.public_key()),
            fingerprint=issuer.fingerprint,
        )
    return issuer
