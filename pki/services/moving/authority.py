"""An existing CA becomes an issuer: its certificate as it is, its key encrypted in the keystore."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

from cryptography import x509
from django.db import DatabaseError

from pki.core import authority_files, chains, names, pins, reading
from pki.core.authority_files import AuthorityRefused, Brought
from pki.core.errors import Refusal
from pki.keystore import KeystoreError, keystore
from pki.models import AuditEvent, Certificate, Issuer, Profile, RevokedSerial
from pki.services.audit import Actor
from pki.services.issuing import authorities, listener_certificates, profiles
from pki.services.issuing.dependence import with_those_below
from pki.services.revoking import revocation
from pki.services.transactions import writing
from pki.services.trusting import bundle, published_roots

# Above what anybody has counted with `openssl ca -gencrl`: who has seen a list takes none of a lower number.
FIRST_CRL = 1_000_000
_LONGEST_NAME = 64  # RFC 5280 appendix A, ub-common-name


class AuthorityExists(AuthorityRefused):
    """The CA, or its key, is here already."""

    code = "issuer_exists"


class ListenersTrustedOtherwise(Refusal):
    """Devices check our listeners by another root, and do not know this one."""

    code = "root_not_published"


@contextmanager
def key_of(found: Brought | Issuer) -> Iterator[str]:
    """The reference of a CA's key, which is kept from now on; if what is inside fails, a new one is not.

    Raises KeystoreError.
    """
    if isinstance(found, Issuer):
        yield found.key_reference
        return
    reference = keystore().import_key("issuer", found.key)
    try:
        yield reference
    except BaseException:
        # Whoever cannot ask keeps it: a COMMIT may have come through though its answer was lost.
        with suppress(DatabaseError, KeystoreError):
            if not Issuer.objects.filter(key_reference=reference).exists():
                keystore().discard(reference)
        raise


def import_authority(brought: Brought, reference: str, actor: Actor, now: datetime, name: str = "") -> Issuer:
    """Make a CA that was made elsewhere an issuer, its key of this reference (`key_of`); it signs for nobody
    yet, and nobody is told to trust it.

    A root may be brought alone; a CA below one needs that one here first. Without `name` it is called by its
    CN. For who is alone at it (`bringing.bring`). Raises AuthorityRefused, AuthorityExists, keys.KeyRefused,
    IssuerExists or NameRefused.
    """
    with writing():
        require_importable(brought, now)
        parent = _parent(brought)
        name = name or _name_of(brought.certificate)
        authorities.require_free(name)
        return authorities.keep_imported(name, parent, reference, brought.certificate, FIRST_CRL, actor, now)


def require_importable(brought: Brought, now: datetime) -> None:
    """Raise AuthorityRefused, keys.KeyRefused or AuthorityExists unless a CA can become an issuer."""
    authority_files.require_authority(brought.certificate, now)
    require_new(brought.certificate)
    _parent(brought)


def find(certificate: x509.Certificate) -> Issuer | None:
    """The issuer that has exactly this certificate."""
    return Issuer.objects.filter(fingerprint=pins.fingerprint_of(certificate)).first()


def require_imported(issuer: Issuer) -> None:
    """Raise AuthorityRefused for an issuer that was made here: all that it has issued is here already, and
    nobody else's index may revoke it.
    """
    imports = AuditEvent.objects.filter(kind="issuer.imported", detail__fingerprint=issuer.fingerprint)
    if not imports.exists():
        raise AuthorityRefused(
            f"The issuer {issuer} was made here, not imported: all that it has issued is on record here. "
            "Revoke its certificates on their pages, or with manage.py revoke."
        )


def require_new(certificate: x509.Certificate) -> None:
    """Raise AuthorityExists if an issuer has this certificate, or its key."""
    known = find(certificate)
    if known is not None:
        raise AuthorityExists(
            f"This CA is here already, as {known}, since {known.created_at:%Y-%m-%d}. To bring certificates "
            "that it has issued since, give --index or --certs."
        )
    key = reading.public_key(certificate)
    for issuer in Issuer.objects.order_by("pk"):
        if issuer.certificate.public_key() == key:
            raise AuthorityExists(
                f"The issuer {issuer} has the same key, with another certificate. One key is one issuer "
                "here: go on with that one."
            )


def serve_under(issuer: Issuer, actor: Actor, now: datetime) -> None:
    """Give our listeners certificates of `issuer` from their next turn on, and publish the root above it.

    For a move before anybody has enrolled here: raises ListenersTrustedOtherwise if devices of other roots
    would refuse the listeners then; RootUnfit, RootNotPublished or what signing the trust bundle raises.
    """
    root = authorities.root_of(issuer)
    profile = Profile.objects.select_related("issuer").get(name=listener_certificates.SERVER_PROFILE)
    if authorities.root_of(profile.issuer) != root:
        require_listeners_may_follow(issuer, now)
        published_roots.publish(root, actor, now)
        bundle.publish_due(now)
    if profile.issuer_id != issuer.pk:
        profile.issuer = issuer
        profiles.save(profile, ["issuer"], actor, now)


def require_listeners_may_follow(found: Brought | Issuer, now: datetime) -> None:
    """Raise ListenersTrustedOtherwise if devices of other roots would refuse listeners below this CA."""
    issuer = _parent(found) if isinstance(found, Brought) else found
    root = authorities.root_of(issuer) if issuer is not None else None
    theirs = with_those_below(root) if root is not None else []
    others = Certificate.objects.filter(revocation.unrevoked(), device__isnull=False, not_after__gt=now)
    one = others.exclude(issuer__in=theirs).select_related("device").order_by("pk").first()
    if one is not None:
        raise ListenersTrustedOtherwise(
            f"Devices have enrolled here that do not know this CA, {one.device} for one. They would refuse "
            "the listeners. Import it without --listeners, publish the root on its page, wait until they "
            "have fetched the trust bundle, and give the profile server this issuer then (docs/rollover.md)."
        )


def _parent(brought: Brought) -> Issuer | None:
    """The issuer that signed the CA; none for a root. Raises AuthorityRefused."""
    certificate = brought.certificate
    if reading.is_self_issued(certificate):
        return None
    for issuer in Issuer.objects.order_by("pk"):
        if chains.signed_by(certificate, issuer.certificate):
            _require_below(issuer, certificate)
            return issuer
    raise AuthorityRefused(_leads_nowhere(certificate, brought.others))


def _require_below(issuer: Issuer, certificate: x509.Certificate) -> None:
    serial = f"{certificate.serial_number:x}"
    if RevokedSerial.objects.filter(issuer=issuer, serial=serial).exists():
        raise AuthorityRefused(f"{issuer} has revoked this CA; make another one.")
    if issuer.parent is not None:
        raise AuthorityRefused(
            f"The CA stands below {issuer}, which is itself no root. Issuers stand directly below a root."
        )


def _leads_nowhere(certificate: x509.Certificate, chain: Iterable[x509.Certificate]) -> str:
    above = chains.issuer_among(certificate, list(chain))
    if above is not None:
        return (
            f"The CA above it, {reading.subject_of(above)}, is not here. Import that one first, with its "
            "key: Hatchery signs its CRLs."
        )
    issuer = reading.name_of(certificate, "issuer")
    return (
        f"It is no root: {issuer} signed it, and that CA is neither here nor in the chain that was given. "
        "Import that one first, with its key."
    )


def _name_of(certificate: x509.Certificate) -> str:
    attributes = names.subject_attributes(certificate.subject)
    found = next((attributes[short] for short in ("CN", "O", "OU") if attributes.get(short)), "")
    return names.printable(" ".join(found.split()))[:_LONGEST_NAME].strip() or "Imported CA"
