"""Who signs configuration profiles: the certificate of a listener of this node.

An iPhone shows a profile as verified if whoever signed it leads to a root that it trusts; a TLS server's
certificate is taken for that, and its name, the host's, is what the person reads. The signer of trust bundles
is not used: a profile must never pass for a bundle.
"""

from datetime import datetime

from pki.core.errors import Refusal
from pki.keystore import keystore
from pki.models import Certificate
from pki.services.issuing import authorities, listener_certificates
from pki.services.trusting import cross_certificates
from pki.services.trusting.anchors import anchors


class NoProfileSigner(Refusal):
    """No listener of this node has a certificate that devices would trust."""

    code = "no_profile_signer"


def signer(now: datetime) -> Certificate:
    """Of the listeners' certificates whose keys are on this node, the one that lasts longest.

    Raises NoProfileSigner or KeystoreError.
    """
    trusted = anchors(now).trusted
    shown = listener_certificates.shown(listener_certificates.known(now), now).values()
    fit = [each for each in shown if not each.issuer.is_lost and authorities.root_of(each.issuer) in trusted]
    if not fit:
        raise NoProfileSigner(
            "This node has no listener's certificate that could sign the profile; start Hatchery here first."
        )
    return max(fit, key=lambda each: each.not_after)


def signed(profile: bytes, now: datetime) -> bytes:
    """CMS SignedData (RFC 5652) around a profile, DER, with the chain of who signed it.

    Raises NoProfileSigner or KeystoreError.
    """
    by = signer(now)
    chain = cross_certificates.chain(by.issuer, now)
    return keystore().sign_message(by.key_reference, profile, by.parsed, chain)
