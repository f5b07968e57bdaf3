"""Clients whose handshake a proxy took: what it forwards is verified again, as in a handshake of ours."""

from datetime import datetime

from cryptography import x509

from pki.core import chains, pins
from pki.models import Issuer
from pki.services.issuing import authorities
from pki.services.proving import status
from pki.services.proving.status import Identity


def proven(certificate: x509.Certificate, now: datetime) -> Identity:
    """Whose certificate this is, if it leads to a root of ours and stands, with one indexed query.

    Raises ChainRefused or NotStanding: the subclass that says why it must be refused.
    """
    try:
        identity = status.standing(pins.fingerprint_of(certificate), now)
    except (status.UnknownCertificate, status.NoDeviceCertificate):
        chains.verify_client(certificate, _all_trusted(), now)  # a stranger's, or a server's: say so
        raise
    path = authorities.path(identity.issuer_id, identity.issuer_fingerprint)
    chains.verify_client(certificate, path, now)
    return identity


def _all_trusted() -> list[x509.Certificate]:
    trusted = Issuer.objects.exclude(state=Issuer.State.COMPROMISED).order_by("pk")
    return [issuer.certificate for issuer in trusted]
