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
    """CMS SignedData (RFC 5652), DER: that for everybody, and those for who trusts another root alone."""

    signed: bytes
    others: list[tuple[Issuer, bytes]]
    signed_at: datetime
    sign_again_at: datetime  # the first of them is due then

    def store(self, bundle: TrustBundle) -> None:
        """Keep them as those of this version, inside the caller's transaction.

        Raises IntegrityError if it is a new version, and there is one of its number.
        """
        bundle.signed, bundle.signed_at = self.signed, self.signed_at
        bundle.sign_again_at = self.sign_again_at
        if bundle._state.adding:
            bundle.save(force_insert=True)
        else:
            bundle.save(update_fields=("signed", "signed_at", "sign_again_at"))
        bundle.signatures.all().delete()
        BundleSignature.objects.bulk_create(
            BundleSignature(bundle=bundle, root=root, signed=signed) for root, signed in self.others
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
    (_, first, _), *others = signed
    return Signatures(
        signed=first,
        others=[(root, below) for root, below, _ in others],
        signed_at=now,
        sign_again_at=min(until for _, _, until in signed),
    )


def of(bundle: TrustBundle, root: str) -> bytes:
    """The signature for who trusts the root with this fingerprint (SHA-256, hex), if there is one; else the
    one for everybody. DER.
    """
    # Compared here: who asks may send what no database takes.
    rows = bundle.signatures.values_list("root__fingerprint", "signed") if root else ()
    return bytes(dict(rows).get(root, bundle.signed))


def _below(root: Issuer, contents: str, now: datetime) -> tuple[bytes, datetime] | None:
    """A signature below this root, DER, and when it is due anew; None if the root's key is not on this node."""
    signer = bundle_signers.usable(root, now)
    if signer is None:
        return None
    certificate = certificates.parsed(bytes(signer.certificate_der))
    signed = keystore().sign_message(signer.key_reference, contents.encode(), certificate)
    return signed, bundle_signers.sign_until(signer)
