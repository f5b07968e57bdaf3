"""The listeners' own certificates: made, found and renewed by Hatchery itself.

Each node has its own, with keys that it made; one process of a node makes them at a time.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.conf import settings
from django.db.models import QuerySet

from pki.core import certificates, names, pins
from pki.core.errors import Refusal
from pki.core.profiles import Grant
from pki.keystore import KeystoreError, keystore
from pki.models import Certificate, Issuer, Profile
from pki.services import node
from pki.services.audit import Actor
from pki.services.issuing import authorities, issuance
from pki.services.transactions import writing
from pki.services.trusting import standby_keys

SERVER_PROFILE = "server"
KEY_SPEC = "P-256"


def current(listener: str, now: datetime) -> Certificate | None:
    """The listener's newest certificate, of those that stand and whose key is on this node."""
    return shown([listener], now).get(listener)


def shown(listeners: Iterable[str], now: datetime) -> dict[str, Certificate]:
    """The same of several listeners, by name, with one query; without those that have none."""
    standing = Certificate.objects.filter(
        listener__in=list(listeners), not_after__gt=now, revocation=None
    ).exclude(listener="")
    newest: dict[str, Certificate] = {}
    for certificate in standing.select_related("issuer").order_by("-issued_at", "-pk"):
        if certificate.listener not in newest and keystore().has(certificate.key_reference):
            newest[certificate.listener] = certificate
    return newest


def known(now: datetime) -> list[str]:
    """The listeners that have a certificate which has not ended, of all nodes."""
    return list(living(now).order_by("listener").values_list("listener", flat=True).distinct())


def living(now: datetime) -> QuerySet[Certificate]:
    """The listeners' certificates, of all nodes, that have not ended."""
    # The index leaves out all that are of no listener: SQLite takes it only if that is said as well.
    return Certificate.objects.filter(listener__gt="", not_after__gt=now).exclude(listener="")


def certified(listeners: Sequence[str]) -> list[str]:
    """Those of these listeners that were ever given a certificate: the plain ones never are."""
    return [name for name in listeners if _of(name).exists()]


def _of(listener: str) -> QuerySet[Certificate]:
    # The index leaves out all that are of no listener: SQLite takes it only if that is said as well.
    return Certificate.objects.filter(listener=listener).exclude(listener="")


def ensure(listener: str, hostnames: Sequence[str], actor: Actor, now: datetime) -> bool:
    """See to it that a listener has a certificate that need not be renewed, and a key for the next one;
    whether a certificate was made. For who is alone on this node (`node.alone`).

    Raises NameRefused, IssuerExpired, IssuerInactive or KeystoreError.
    """
    profile = Profile.objects.select_related("issuer__parent").get(name=SERVER_PROFILE)
    wanting = _is_wanting(listener, hostnames, profile, now)
    if wanting:
        _issue(listener, hostnames, profile, actor, now)
    standby_keys.prepare(standby_keys.of_listener(listener), KEY_SPEC, now)
    return wanting


def renew_due(listeners: Sequence[str], hostnames: Sequence[str], actor: Actor, now: datetime) -> int:
    """Renew this node's certificates of those listeners that want it, and make their next keys; how many.

    Left to another process of the node that is at it, and before `bootstrap` to that. One that cannot be
    renewed does not keep the others from it: raises NameRefused, IssuerExpired, IssuerInactive, KeystoreError
    or OSError at the end.
    """
    profile = Profile.objects.filter(name=SERVER_PROFILE).first()
    # Asked by each worker each minute: mostly there is nothing to do, and so no lock to take.
    if profile is None or not any(_is_left(listener, hostnames, profile, now) for listener in listeners):
        return 0
    with node.alone(settings.PORTAL_DATA_DIR, wait=False) as free:
        return _ensure_each(listeners, hostnames, actor, now) if free else 0


def _ensure_each(listeners: Sequence[str], hostnames: Sequence[str], actor: Actor, now: datetime) -> int:
    renewed = 0
    trouble: Refusal | KeystoreError | None = None
    for listener in listeners:
        try:
            renewed += ensure(listener, hostnames, actor, now)
        except (Refusal, KeystoreError) as error:
            trouble = trouble or error
    if trouble is not None:
        raise trouble
    return renewed


def _is_left(listener: str, hostnames: Sequence[str], profile: Profile, now: datetime) -> bool:
    prepared = standby_keys.is_prepared(standby_keys.of_listener(listener), KEY_SPEC)
    return not prepared or _is_wanting(listener, hostnames, profile, now)


def _is_wanting(listener: str, hostnames: Sequence[str], profile: Profile, now: datetime) -> bool:
    """Whether a listener is to have a new certificate: it has none that stands and whose key is here, or
    that one is due, says other names, or is of another issuer than the profile's.
    """
    certificate = current(listener, now)
    return (
        certificate is None
        or certificate.sans != [str(names.host_san(host)) for host in hostnames]
        or certificate.issuer_id != profile.issuer_id
        or is_due(certificate, now)
    )


def is_due(certificate: Certificate, now: datetime) -> bool:
    """Whether two thirds of a certificate's life are over: time to renew it."""
    # One that ends with its issuer can have no successor that lives longer.
    ends_with_issuer = certificate.not_after >= certificate.issuer.not_after
    return not ends_with_issuer and now >= certificates.renew_at(
        certificate.not_before, certificate.not_after
    )


def root() -> Issuer:
    """The root by which devices check our listeners. Raises Profile.DoesNotExist before `bootstrap`."""
    profile = Profile.objects.select_related("issuer__parent").get(name=SERVER_PROFILE)
    return authorities.root_of(profile.issuer)


def _issue(listener: str, hostnames: Sequence[str], profile: Profile, actor: Actor, now: datetime) -> None:
    issuance.require_active_issuer(profile.issuer)
    granted = Grant(
        # A CN is no longer than 64 characters; clients match the SAN alone (RFC 9525 2).
        subject=names.subject({"CN": hostnames[0][:64]}),
        sans=tuple(names.host_san(host) for host in hostnames),
        ignored=(),
    )
    authority = authorities.authority(profile.issuer)
    with writing():
        reference = standby_keys.take(standby_keys.of_listener(listener), KEY_SPEC, now)
        key = keystore().public_key(reference)
        to_be_signed = certificates.end_entity(profile.rules, granted, key, authority, now)
        signed = keystore().sign(profile.issuer.key_reference, to_be_signed)
        issuance.store(
            signed,
            granted,
            profile,
            profile.issuer,
            None,
            actor,
            now,
            spki_sha256=pins.spki_sha256(key),
            listener=listener,
            key_reference=reference,
        )
