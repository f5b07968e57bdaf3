"""Who signs the trust bundle: a certificate for a week, whose key is on the node that signs with it."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.serialization import Encoding

from pki.core import certificates, keys
from pki.core.errors import Refusal
from pki.core.keys import KeyKind
from pki.keystore import keystore
from pki.models import BundleSigner, Issuer
from pki.services import audit
from pki.services.audit import HATCHERY
from pki.services.transactions import writing

LIFETIME = timedelta(days=7)
# CMS is signed by EC and RSA keys only.
_SPECS = {KeyKind.P256: "P-256", KeyKind.P384: "P-384", KeyKind.ED25519: "P-256", KeyKind.RSA: "RSA-2048"}


class NoBundleSigner(Refusal):
    """No issuing CA that is active, and whose key is on this node, stands below a root that does."""

    code = "no_bundle_signer"


def usable(roots: Iterable[Issuer], now: datetime) -> BundleSigner:
    """A signer, below the first of `roots` that can have one, of whose life no two thirds are over; made if
    there is none. Raises NoBundleSigner or KeystoreError.
    """
    for root in roots:
        active = root.subordinates.filter(state=Issuer.State.ACTIVE, not_after__gt=now).order_by("pk")
        for issuer in active:
            found = _newest(issuer, now)
            if found is not None and now < sign_until(found):
                return found
            if keystore().has(issuer.key_reference):
                return _make(issuer, now)
    raise NoBundleSigner("This node has the key of no issuing CA that could sign the trust bundle.")


def sign_until(signer: BundleSigner) -> datetime:
    """When another one is to sign: a third of its life is left to devices that were given its signature."""
    return certificates.renew_at(signer.not_before, signer.not_after)


def _newest(issuer: Issuer, now: datetime) -> BundleSigner | None:
    living = BundleSigner.objects.filter(issuer=issuer, not_before__lte=now, not_after__gt=now)
    here = (each for each in living.order_by("-not_after", "-pk") if keystore().has(each.key_reference))
    return next(here, None)


def _make(issuer: Issuer, now: datetime) -> BundleSigner:
    kind, _ = keys.certified(issuer.certificate.public_key())
    reference = keystore().create("bundle", _SPECS[kind])
    key = keystore().public_key(reference)
    to_be_signed = certificates.bundle_signer(key, LIFETIME, issuer.certificate, now)
    signed = keystore().sign(issuer.key_reference, to_be_signed)
    with writing():
        signer = BundleSigner.objects.create(
            issuer=issuer,
            key_reference=reference,
            serial=f"{signed.serial_number:x}",
            certificate_der=signed.public_bytes(Encoding.DER),
            not_before=signed.not_valid_before_utc,
            not_after=signed.not_valid_after_utc,
            created_at=now,
        )
        audit.record(
            "bundle_signer.made",
            HATCHERY,
            now,
            issuer=issuer.name,
            serial=signer.serial,
            key=keys.describe(key),
            not_after=signer.not_after.isoformat(timespec="seconds"),
        )
    return signer
