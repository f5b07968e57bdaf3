"""Who signed a certificate: the way up to a CA (RFC 5280 6.1)."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID

from pki.core import extensions, reading
from pki.core.errors import UNREADABLE, Refusal


class ChainRefused(Refusal):
    """A certificate must not be relied on for what it is, whatever is on record of it."""

    code = "certificate_refused"


class UnknownIssuer(ChainRefused):
    """No CA of ours issued it."""

    code = "unknown_issuer"


class BadSignature(ChainRefused):
    """It names a CA of ours that did not sign it."""

    code = "bad_signature"


class WrongPurpose(ChainRefused):
    """It is not for clients."""

    code = "wrong_purpose"


def verify_client(certificate: x509.Certificate, ours: Sequence[x509.Certificate], at: datetime) -> None:
    """Whether a client's certificate leads, over CA certificates that are `ours`, to a root among them.

    `at` (UTC) must be within the CAs' validity; the certificate's own is not looked at here. Raises
    UnknownIssuer, BadSignature or WrongPurpose.
    """
    current = certificate
    for below in range(len(ours) + 1):  # CA certificates between the client's and the next one up
        issuer = next((each for each in ours if _may_sign(each, below, at) and _signed(current, each)), None)
        if issuer is None:
            if any(names(current, each) and _may_sign(each, below, at) for each in ours):
                raise BadSignature("A CA of this Hatchery did not sign it, though it says so.")
            raise UnknownIssuer("Its issuer is no CA of this Hatchery.")
        if reading.is_self_issued(issuer):
            break
        current = issuer
    else:
        raise UnknownIssuer("It leads to no root of this Hatchery.")
    if not extensions.are_readable(certificate):
        raise WrongPurpose("Its extensions cannot be read, and so not what it is for.")
    # RFC 5280 4.2.1.12: what says nothing is for all; ours always say for whom they are, and those of a CA
    # that was made elsewhere may not. A CA's own is never a client's.
    usages = extensions.value_of(certificate, x509.ExtendedKeyUsage)
    if reading.is_ca(certificate) or (usages is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in usages):
        raise WrongPurpose("It is not for clients: it lacks the extended key usage clientAuth, or is a CA's.")


def _may_sign(issuer: x509.Certificate, below: int, at: datetime) -> bool:
    """Whether a CA certificate lets its key sign what has `below` CA certificates under it (6.1.4 k to n)."""
    constraints = extensions.value_of(issuer, x509.BasicConstraints)
    usage = extensions.value_of(issuer, x509.KeyUsage)
    return (
        constraints is not None
        and constraints.ca
        and (constraints.path_length is None or below <= constraints.path_length)
        # 6.1.4 n: it counts where it is there, and OpenSSL's own default for a CA leaves it out.
        and (usage is None or usage.key_cert_sign)
        and reading.time_of(issuer, at) is reading.Time.WITHIN
    )


# A signature that was good stays good: a device that comes again costs no verification.
@lru_cache(maxsize=4096)
def _signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    return signed_by(certificate, issuer)


def issuer_among(
    certificate: x509.Certificate, candidates: Sequence[x509.Certificate]
) -> x509.Certificate | None:
    """The certificate among `candidates` whose key signed this one."""
    return next((each for each in candidates if signed_by(certificate, each)), None)


def signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether `issuer`, by its name and by its key, issued `certificate`."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *UNREADABLE):
        return False
    return True


def names(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether `certificate` says that `issuer` issued it; anybody can say so."""
    try:
        return certificate.issuer == issuer.subject
    except UNREADABLE:
        return False
