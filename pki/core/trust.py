"""Where the way from a certificate up to what is trusted breaks off, and what is wrong with a trust store."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from pki.core import chains, reading
from pki.core.errors import UNREADABLE
from pki.core.findings import Finding, Severity
from pki.core.parts import Kind, Recognised
from pki.core.reading import Time


@dataclass(frozen=True)
class Trust:
    """The certificates that a chain is to lead to."""

    certificates: Sequence[x509.Certificate]
    store: str = ""  # the trust store that they are in; empty for the CAs of this Hatchery
    known: Sequence[x509.Certificate] = ()  # CAs that are not trusted by it, to say what is missing


def findings(
    certificate: x509.Certificate,
    beside: Sequence[x509.Certificate],
    trust: Trust,
    part: int,
    *,
    is_all: bool = False,
) -> Iterator[Finding]:
    """What is wrong with the way from a certificate, over those `beside` it, to one that is trusted.

    With `is_all`, who is shown it gets nothing besides: what a server sends in its handshake.
    """
    trusted = trust.certificates
    if certificate in trusted:
        return
    path = _path(certificate, [*trusted, *beside, *trust.known], trusted)
    if path[-1] not in trusted:
        yield _breaks_off(path, trust, part)
        return
    in_store = trusted if trust.store else ()
    there = (*beside, *in_store)
    missing = next((each for each in path[1:] if _must_be_shown(each) and each not in there), None)
    if missing is not None:
        yield Finding(
            "intermediate_missing",
            Severity.REFUSED if is_all else Severity.WARNING,
            f"The certificate of {'its issuer' if missing is path[1] else 'the CA above it'}, "
            f"{reading.subject_of(missing)}, is not with it. Who trusts only the root cannot "
            "build the chain.",
            "Send the chain: the certificate first, then its issuer's (download “chain” on its page).",
            part,
        )


def _path(
    certificate: x509.Certificate,
    candidates: Sequence[x509.Certificate],
    trusted: Sequence[x509.Certificate],
) -> list[x509.Certificate]:
    """The certificate, its issuer, and so on, as far up as the candidates lead."""
    path = [certificate]
    while path[-1] not in trusted:
        above = chains.issuer_among(path[-1], candidates)
        if above is None or above in path:
            break
        path.append(above)
    return path


def _must_be_shown(issuer: x509.Certificate) -> bool:
    return not reading.is_self_issued(issuer)


def _breaks_off(path: Sequence[x509.Certificate], trust: Trust, part: int) -> Finding:
    certificate, top = path[0], path[-1]
    if top == certificate and chains.signed_by(certificate, certificate):
        return Finding(
            "self_signed",
            Severity.REFUSED,
            "It is signed by its own key, by no CA.",
            "Send a CSR for that key to Hatchery, and use the certificate that it gives.",
            part,
        )
    if any(chains.names(top, each) for each in trust.certificates):
        return _wrong_ca(top, trust, part)
    whose = f"in the trust store {trust.store}" if trust.store else "a CA of this Hatchery"
    if reading.is_self_issued(top):
        sentence = f"It leads to {reading.subject_of(top)}, which is not {whose}."
    else:
        link = "Its issuer" if top == certificate else f"The issuer of {reading.subject_of(top)}"
        sentence = f"{link}, {_issuer_name(top)}, is not {whose}, and not with it: the chain ends there."
    if trust.store:
        return Finding(
            "trust_store_lacks_ca",
            Severity.REFUSED,
            sentence,
            "Put the root that it leads to into the trust store; of Hatchery's servers that is ca.pem. If it "
            "is in there, an intermediate is missing in between: the server has to send it.",
            part,
        )
    return Finding(
        "unknown_issuer",
        Severity.REFUSED,
        sentence,
        "Enroll the device here, or let the other side trust that CA; to see where the chain leads, show the "
        "CA certificates with it.",
        part,
    )


def _wrong_ca(top: x509.Certificate, trust: Trust, part: int) -> Finding:
    issuer = _issuer_name(top)
    if trust.store:
        return Finding(
            "trust_store_wrong_ca",
            Severity.REFUSED,
            f"It says that {issuer} issued it. The trust store {trust.store} has a CA of that name, but with "
            "another key.",
            "Compare the fingerprints of both; put the CA that is in use now into the trust store.",
            part,
        )
    return Finding(
        "wrong_issuer",
        Severity.REFUSED,
        f"It says that {issuer} issued it, but our CA of that name did not sign it: "
        "another CA has the same name, or it was changed.",
        "Compare the CA's fingerprint on both sides; enroll the device anew.",
        part,
    )


def _issuer_name(certificate: x509.Certificate) -> str:
    try:
        return certificate.issuer.rfc4514_string() or "an issuer without a name"
    except UNREADABLE:
        return "an issuer with a malformed name"


# --- The store itself -----------------------------------------------------------------------------


# What is said of a file that is shown as an identity, or that it is a trust store, which is known here.
_OF_AN_IDENTITY = frozenset({"p12_without_key", "p12_trust_store"})
# Of a profile the roots are used, whether its identity opens or not.
_OF_A_PROFILES_IDENTITY = frozenset({"p12_password_needed", "p12_wrong_password", "p12_legacy_algorithms"})


def held_in(recognised: Recognised) -> list[x509.Certificate]:
    """The certificates that who uses this as a trust store trusts; not a profile's identity."""
    is_profile = bool(recognised.of(Kind.CONFIGURATION_PROFILE))
    return [
        part.certificate
        for part in recognised.of(Kind.CERTIFICATE)
        if part.certificate is not None and (part.is_to_trust or not is_profile)
    ]


def of_store(recognised: Recognised, now: datetime) -> Iterator[Finding]:
    """What is wrong with a trust store by itself; what was found while reading it comes first."""
    store = recognised.source
    of_an_identity = _OF_AN_IDENTITY
    if recognised.of(Kind.CONFIGURATION_PROFILE):
        of_an_identity |= _OF_A_PROFILES_IDENTITY
    yield from (each for each in recognised.findings if each.code not in of_an_identity)
    held = held_in(recognised)
    if not held:
        yield Finding(
            "trust_store_empty",
            Severity.REFUSED,
            f"The trust store {store} holds no certificate: with it nobody is trusted.",
            "Put the root into it; of Hatchery's servers that is ca.pem.",
            source=store,
        )
        return
    if recognised.of(Kind.PRIVATE_KEY):
        yield Finding(
            "trust_store_holds_key",
            Severity.WARNING,
            f"The trust store {store} holds a private key.",
            "A trust store holds what everybody may see. Keep keys in a key store of their own.",
            source=store,
        )
    if not any(reading.is_self_issued(each) for each in held):
        yield Finding(
            "trust_store_without_root",
            Severity.WARNING,
            f"The trust store {store} holds no root: most of what is built on OpenSSL trusts nothing by it, "
            "though curl, Java and Go do.",
            "Put the root into it; intermediates are sent by the server.",
            source=store,
        )
    for certificate in held:
        if reading.time_of(certificate, now) is not Time.WITHIN:
            yield Finding(
                "trust_store_out_of_date",
                Severity.WARNING,
                f"The trust store {store} holds a CA that is {reading.time_of(certificate, now)}: "
                f"{reading.subject_of(certificate)}.",
                "Fetch the trust bundle anew.",
                source=store,
            )
