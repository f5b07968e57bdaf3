"""The listeners' own certificates: made, found and renewed by Hatchery itself."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import QuerySet

from pki.core import certificates, names, pins
from pki.core.profiles import Grant
from pki.keystore import keystore
from pki.models import Certificate, Issuer, Profile
from pki.services.audit import Actor
from pki.services.issuing import authorities, issuance
from pki.services.transactions import writing

SERVER_PROFILE = "server"
KEY_SPEC = "P-256"
# A node looks through so many of a listener's certificates for one whose key it holds.
_LATEST = 50


def current(listener: str, now: datetime) -> Certificate | None:
    """The listener's newest certificate, of those that stand and whose key is on this node."""
    candidates = _of(listener).filter(not_after__gt=now, revocation=None).select_related("issuer")
    for certificate in candidates.order_by("-issued_at", "-pk")[:_LATEST]:
        if keystore().has(certificate.key_reference):
            return certificate
    return None


def certified(listeners: Sequence[str]) -> list[str]:
    """Those of these listeners that were ever given a certificate: the plain ones never are."""
    return [name for name in listeners if _of(name).exists()]


def _of(listener: str) -> QuerySet[Certificate]:
    # The index leaves out all that are of no listener: SQLite takes it only if that is said as well.
    return Certificate.objects.filter(listener=listener).exclude(listener="")


def ensure(listener: str, hostnames: Sequence[str], actor: Actor, now: datetime) -> Certificate:
    """The listener's certificate, a new one if it has none, if two thirds of its life are over, or if
    its names are not `hostnames`.

    Raises NameRefused, IssuerExpired, IssuerInactive or KeystoreError.
    """
    certificate = current(listener, now)
    wanted = [str(names.host_san(host)) for host in hostnames]
    if certificate is not None and certificate.sans == wanted and not is_due(certificate, now):
        return certificate
    return _issue(listener, hostnames, actor, now)


def is_due(certificate: Certificate, now: datetime) -> bool:
    """Whether two thirds of a certificate's life are over: time to renew it."""
    return now >= certificates.renew_at(certificate.not_before, certificate.not_after)


def root() -> Issuer:
    """The root by which devices check our listeners. Raises Profile.DoesNotExist before `bootstrap`."""
    profile = Profile.objects.select_related("issuer__parent").get(name=SERVER_PROFILE)
    return authorities.root_of(profile.issuer)


def _issue(listener: str, hostnames: Sequence[str], actor: Actor, now: datetime) -> Certificate:
    profile = Profile.objects.select_related("issuer").get(name=SERVER_PROFILE)
    issuance.require_active_issuer(profile.issuer)
    reference = keystore().create(f"listener-{listener}", KEY_SPEC)
    key = keystore().public_key(reference)
    granted = Grant(
        # A CN is no longer than 64 characters; clients match the SAN alone (RFC 9525 2).
        subject=names.subject({"CN": hostnames[0][:64]}),
        sans=tuple(names.host_san(host) for host in hostnames),
        ignored=(),
    )
    authority = authorities.authority(profile.issuer)
    with writing():
        to_be_signed = certificates.end_entity(profile.rules, granted, key, authority, now)
        signed = keystore().sign(profile.issuer.key_reference, to_be_signed)
        return issuance.store(
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
