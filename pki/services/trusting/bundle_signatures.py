"""A trust bundle's signatures: one below each root by which a device may check it.

A device takes a signer that a root which it trusts made itself, and no other. So who trusts only the old of
two roots, and who trusts only the new one, need a signature each.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pki.core import certificates
from pki.core.errors import Refusal
from pki.keystore import KeystoreError, keystore
from pki.models import BundleSignature, Issuer, TrustBundle
from pki.services.complaints import COMPLAINTS, reason
from pki.services.trusting import bundle_signers

log = logging.getLogger("hatchery.trusting")


class NoBundleSigner(Refusal):
    """The key of no root that stands is on this node."""

    code = "no_bundle_signer"


@dataclass(frozen=True)
class Signatures:
    """CMS SignedData (RFC 5652), DER, and the root below which it is; the first is for everybody."""

    below: list[tuple[Issuer, bytes]]
    signed_at: datetime
    sign_again_at: datetime  # the first of them is due then

    def store(self, bundle: TrustBundle) -> None:
        """Keep them as those of this version, inside the caller's transaction.

        Raises IntegrityError if it is a new version, and there is one of its number.
        """
        (_, bundle.signed), *_ = self.below
        bundle.signed_at = self.signed_at
        bundle.sign_again_at = self.sign_again_at
        if bundle._state.adding:
            bundle.save(force_insert=True)
        else:
            bundle.save(update_fields=("signed", "signed_at", "sign_again_at"))
        bundle.signatures.all().delete()
        self._add(bundle)

    def add(self, bundle: TrustBundle) -> None:
        """Keep them beside those that this version has, inside the caller's transaction."""
        bundle.sign_again_at = min(bundle.sign_again_at, self.sign_again_at)
        bundle.save(update_fields=("sign_again_at",))
        self._add(bundle)

    def _add(self, bundle: TrustBundle) -> None:
        BundleSignature.objects.bulk_create(
            BundleSignature(bundle=bundle, root=root, signed=signed) for root, signed in self.below
        )


def made(contents: str, roots: Sequence[Issuer], now: datetime) -> Signatures:
    """Signatures below each of these roots whose key is on this node; the first is for everybody.

    A root whose key cannot be used is left out, and the log says so. Raises NoBundleSigner, or KeystoreError
    if that leaves none.
    """
    signed, failed = [], None
    for root in roots:
        try:
            signature = _below(root, contents, now)
        except KeystoreError as error:
            # Who trusts another root is not to wait until this one's key is mended.
            COMPLAINTS.say(log, f"The trust bundle is not signed under {root}", reason(error))
            failed = error
            continue
        if signature is not None:
            signed.append((root, *signature))
    if not signed:
        raise failed or NoBundleSigner("This node has the key of no root that could sign the trust bundle.")
    return Signatures(
        below=[(root, signature) for root, signature, _ in signed],
        signed_at=now,
        sign_again_at=min(until for _, _, until in signed),
    )


def lacking(bundle: TrustBundle, roots: Sequence[Issuer]) -> list[Issuer]:
    """Those of these roots below which it has no signature, and whose key is on this node: it may have come
    after the bundle was signed. Raises KeystoreError.
    """
    have = set(bundle.signatures.values_list("root", flat=True))
    return [root for root in roots if root.pk not in have and keystore().has(root.key_reference)]


def of(bundle: TrustBundle, root: str) -> bytes | None:
    """The signature for who trusts the root with this fingerprint (SHA-256, hex), None if there is none; for
    who names no root, the one for everybody. DER.
    """
    if not root:
        return bytes(bundle.signed)
    # Compared here: who asks may send what no database takes.
    found = dict(bundle.signatures.values_list("root__fingerprint", "signed")).get(root)
    return None if found is None else bytes(found)


def _below(root: Issuer, contents: str, now: datetime) -> tuple[bytes, datetime] | None:
    """A signature below this root, DER, and when it is due anew; None if its key is not on this node."""
    signer = bundle_signers.usable(root, now)
    if signer is None:
        return None
    certificate = certificates.parsed(bytes(signer.certificate_der))
    signed = keystore().sign_message(signer.key_reference, contents.encode(), certificate)
    return signed, bundle_signers.sign_until(signer)
