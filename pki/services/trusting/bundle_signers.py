"""Who signs the trust bundle: a certificate for a week, made by a root, whose key is on the node that signs.

By a root itself, because its devices take no other: a stolen issuing CA's key makes no bundle that they take.
"""

from datetime import datetime, timedelta

from cryptography.hazmat.primitives.serialization import Encoding

from pki.core import certificates, keys
from pki.core.keys import KeyKind
from pki.keystore import keystore
from pki.models import BundleSigner, Issuer
from pki.services import audit
from pki.services.audit import HATCHERY
from pki.services.new_keys import new_key
from pki.services.transactions import writing

LIFETIME = timedelta(days=7)
# CMS is signed by EC and RSA keys only.
_SPECS = {KeyKind.P256: "P-256", KeyKind.P384: "P-384", KeyKind.ED25519: "P-256", KeyKind.RSA: "RSA-2048"}


def usable(root: Issuer, now: datetime) -> BundleSigner | None:
    """A signer that this root made, of whose life no two thirds are over; made if there is none, None if the
    root's key is not on this node. Raises KeystoreError.
    """
    found = _newest(root, now)
    if found is not None and now < sign_until(found):
        return found
    return _make(root, now) if keystore().has(root.key_reference) else None


def sign_until(signer: BundleSigner) -> datetime:
    """When another one is to sign: a third of its life is left to devices that were given its signature."""
    return certificates.renew_at(signer.not_before, signer.not_after)


def _newest(root: Issuer, now: datetime) -> BundleSigner | None:
    living = BundleSigner.objects.filter(issuer=root, not_before__lte=now, not_after__gt=now)
    here = (each for each in living.order_by("-not_after", "-pk") if keystore().has(each.key_reference))
    return next(here, None)


def _make(root: Issuer, now: datetime) -> BundleSigner:
    kind, _ = keys.certified(root.certificate.public_key())
    # Opened first: a root's key that cannot be used is to leave no key of a signer behind.
    keystore().public_key(root.key_reference)
    with new_key("bundle", _SPECS[kind]) as reference:
        key = keystore().public_key(reference)
        to_be_signed = certificates.bundle_signer(key, LIFETIME, root.certificate, now)
        signed = keystore().sign(root.key_reference, to_be_signed)
        with writing():
            signer = BundleSigner.objects.create(
                issuer=root,
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
                issuer=root.name,
                serial=signer.serial,
                key=keys.describe(key),
                not_after=signer.not_after.isoformat(timespec="seconds"),
            )
    return signer
