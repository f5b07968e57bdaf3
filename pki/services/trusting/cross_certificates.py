"""Cross-certificates: a root's key certified by another root, while one takes the place of the other.

Who trusts only the old root verifies what is under the new one by the certificate that the old one gave it,
and the other way round (RFC 4158 1.5.2). Each lives for ninety days and is made anew for as long as both
roots are active: whoever steals a root's key, and meets somebody who asks no list and no responder, gets no
further by it than that.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.db.models import CharField, DateTimeField

from pki.core import certificates, pins
from pki.core.certificates import Authority
from pki.keystore import keystore
from pki.models import FULL, CrossCertificate, Issuer
from pki.services import audit
from pki.services.audit import HATCHERY, Actor
from pki.services.issuing import authorities
from pki.services.prepared import Asked, Objects
from pki.services.transactions import alone, writing

LIFETIME = timedelta(days=90)

_NOW = Asked("now", DateTimeField())
_LIVING = Objects(
    lambda: (
        CrossCertificate.objects.filter(
            subject__fingerprint=Asked("fingerprint", CharField()), not_before__lte=_NOW, not_after__gt=_NOW
        )
        .exclude(subject__state=Issuer.State.COMPROMISED)
        .exclude(signer__state=Issuer.State.COMPROMISED)
        .order_by("pk")
    )
)


def chain(issuer: Issuer, now: datetime) -> list[x509.Certificate]:
    """What is shown with a certificate of `issuer`: the CA certificates up to its root, without that, then
    those by which others that stand certify this root.

    Only these: with those that this root gave to others, some verifiers would go round in a circle.
    """
    way = authorities.path(issuer.pk, issuer.fingerprint)
    return [*way[:-1], *(each.certificate for each in of_root(way[-1], now))]


def of_root(root: x509.Certificate, now: datetime) -> list[CrossCertificate]:
    """The newest by each root that stands, for the key of `root`; none if that is compromised. One query."""
    living = _LIVING.all(fingerprint=pins.fingerprint_of(root), now=now)
    newest = {each.signer_id: each for each in living}
    return list(newest.values())


def certify_both(one: Issuer, other: Issuer, actor: Actor, now: datetime) -> None:
    """Let two roots certify each other, as far as they may, inside the caller's transaction. Raises
    IssuerExpired or KeystoreError.
    """
    for subject, signer in ((one, other), (other, one)):
        if _may_certify(signer):
            _certify(subject, signer, actor, now)


def renew_due(now: datetime) -> int:
    """Make those that are missing or due, by roots whose key is here; how many. Raises KeystoreError."""
    if not _due(now):
        return 0
    made = 0
    with alone("cross-certificates") as free:
        for subject, signer in _due(now) if free else ():
            with writing():
                _certify(subject, signer, HATCHERY, now)
            made += 1
    return made


def line_above(root: Issuer) -> Iterator[Issuer]:
    """The roots that `root` came after, the latest first."""
    predecessor = root.predecessor
    while predecessor is not None:
        yield predecessor
        predecessor = predecessor.predecessor


def is_active(root: Issuer, now: datetime) -> bool:
    """Whether a root may sign, and be certified."""
    return root.state == Issuer.State.ACTIVE and root.not_after > now


def _due(now: datetime) -> list[tuple[Issuer, Issuer]]:
    return [
        (subject, signer)
        for subject, signer in _bridged(now)
        if _is_due(subject, signer, now) and keystore().has(signer.key_reference)
    ]


def _bridged(now: datetime) -> Iterator[tuple[Issuer, Issuer]]:
    roots = Issuer.objects.filter(parent=None, state=Issuer.State.ACTIVE, not_after__gt=now)
    for root in roots.exclude(predecessor=None).select_related("predecessor").order_by("pk"):
        for before in line_above(root):
            if is_active(before, now):
                yield from (pair for pair in ((root, before), (before, root)) if _may_certify(pair[1]))


def _may_certify(signer: Issuer) -> bool:
    """Whether a root that was made elsewhere lets another root stand below it, and a CA below that."""
    return certificates.has_room(signer.certificate, 2)


def _is_due(subject: Issuer, signer: Issuer, now: datetime) -> bool:
    newest = CrossCertificate.objects.filter(subject=subject, signer=signer).order_by("-not_after").first()
    if newest is None:
        return True
    # One that ends with either root can have no successor that lives longer.
    ends_with_them = newest.not_after >= min(subject.not_after, signer.not_after)
    return not ends_with_them and now >= certificates.renew_at(newest.not_before, newest.not_after)


def _certify(subject: Issuer, signer: Issuer, actor: Actor, now: datetime) -> None:
    authority = Authority(signer.certificate, authorities.pointers(signer, FULL))
    to_be_signed = certificates.cross(subject.certificate, LIFETIME, authority, now)
    signed = keystore().sign(signer.key_reference, to_be_signed)
    made = CrossCertificate.objects.create(
        subject=subject,
        signer=signer,
        serial=f"{signed.serial_number:x}",
        certificate_der=signed.public_bytes(Encoding.DER),
        fingerprint=pins.fingerprint_of(signed),
        not_before=signed.not_valid_before_utc,
        not_after=signed.not_valid_after_utc,
        created_at=now,
    )
    audit.record(
        "cross_certificate.made",
        actor,
        now,
        subject=subject.name,
        signer=signer.name,
        serial=made.serial,
        not_after=made.not_after.isoformat(timespec="seconds"),
    )
