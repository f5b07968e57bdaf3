"""Who signed a certificate: the way up to a CA, and where it breaks off (RFC 5280 6.1)."""

from collections.abc import Iterator, Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from pki.core import reading
from pki.core.errors import UNREADABLE
from pki.core.findings import Finding, Severity


def findings(
    certificate: x509.Certificate,
    pasted: Sequence[x509.Certificate],
    trusted: Sequence[x509.Certificate],
    part: int,
) -> Iterator[Finding]:
    """What is wrong with the way from a certificate, over those `pasted` with it, to a CA that is ours."""
    if certificate in trusted:
        return
    issuer = issuer_among(certificate, [*trusted, *pasted])
    if issuer is None:
        yield from _no_issuer(certificate, trusted, part)
        return
    top, path = issuer, [issuer]
    while top not in trusted and not reading.is_self_issued(top):
        above = issuer_among(top, [*trusted, *pasted])
        if above is None or above in path:
            break
        top = above
        path.append(top)
    if top not in trusted:
        yield Finding(
            "unknown_issuer",
            Severity.REFUSED,
            f"It leads to {reading.subject_of(top)}, which is no CA of this Hatchery.",
            "Enroll the device here, or let the other side trust that CA.",
            part,
        )
    elif not reading.is_self_issued(issuer) and issuer not in pasted:
        yield Finding(
            "intermediate_missing",
            Severity.WARNING,
            f"The certificate of its issuer, {reading.subject_of(issuer)}, is not with it. Who trusts "
            "only the root cannot build the chain.",
            "Send the chain: the certificate first, then its issuer's (download “chain” on its page).",
            part,
        )


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


def _no_issuer(
    certificate: x509.Certificate, trusted: Sequence[x509.Certificate], part: int
) -> Iterator[Finding]:
    if signed_by(certificate, certificate):
        yield Finding(
            "self_signed",
            Severity.REFUSED,
            "It is signed by its own key, by no CA.",
            "Send a CSR for that key to Hatchery, and use the certificate that it gives.",
            part,
        )
        return
    issuer = _issuer_name(certificate)
    if any(names(certificate, each) for each in trusted):
        yield Finding(
            "wrong_issuer",
            Severity.REFUSED,
            f"It says that {issuer} issued it, but our CA of that name did not sign it: "
            "another CA has the same name, or it was changed.",
            "Compare the CA's fingerprint on both sides; enroll the device anew.",
            part,
        )
    else:
        yield Finding(
            "unknown_issuer",
            Severity.REFUSED,
            f"Its issuer, {issuer}, is no CA of this Hatchery, and was not pasted: the chain ends there.",
            "Enroll the device here; or paste the CA certificates with it to see where they lead.",
            part,
        )


def _issuer_name(certificate: x509.Certificate) -> str:
    try:
        return certificate.issuer.rfc4514_string() or "an issuer without a name"
    except UNREADABLE:
        return "an issuer with a malformed name"


def names(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether `certificate` says that `issuer` issued it; anybody can say so."""
    try:
        return certificate.issuer == issuer.subject
    except UNREADABLE:
        return False
