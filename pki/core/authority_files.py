"""An existing CA in its files, PEM, DER or PKCS#12: certificate and key, and whether it can sign here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID

from pki.core import chains, der, extensions, key_files, keys, reading
from pki.core.errors import UNREADABLE, Refusal
from pki.core.key_files import KeyFileRefused, PassphraseNeeded, WrongPassphrase
from pki.core.keys import IssuerKey
from pki.core.reading import Time

LARGEST = 1_000_000  # bytes of one file


class AuthorityRefused(Refusal):
    """What was given is no CA that can sign here."""

    code = "authority_refused"


@dataclass(frozen=True)
class Brought:
    """A CA as somebody brings it."""

    certificate: x509.Certificate
    key: IssuerKey = field(repr=False)
    others: tuple[x509.Certificate, ...] = ()  # CA certificates that came with it


def from_files(certificate: bytes, key: bytes, passphrase: str | None = None) -> Brought:
    """A CA from its certificate (PEM or DER, its chain may follow) and its key.

    Raises AuthorityRefused, keys.KeyRefused, or as `key_files.read` does.
    """
    return _matched(certificates(certificate, "certificate"), key_files.read(key, passphrase))


def from_p12(data: bytes, passphrase: str | None = None) -> Brought:
    """A CA from PKCS#12 (RFC 7292). Raises as `from_files`."""
    _require_size(data)
    if der.most_rounds(data) > der.MOST_ROUNDS:
        raise KeyFileRefused(key_files.too_many_rounds("PKCS#12 file"))
    opened = _opened_p12(data, passphrase)
    found = [each.certificate for each in (opened.cert, *opened.additional_certs) if each is not None]
    if opened.key is None:
        raise AuthorityRefused(
            "The PKCS#12 file has no private key in it. Export it together with the key: "
            "openssl pkcs12 -export -in ca.pem -inkey ca.key -out ca.p12"
        )
    if not found:
        raise AuthorityRefused(
            "The PKCS#12 file has no certificate in it; give the CA's certificate and key as PEM files."
        )
    return _matched(found, key_files.of_our_kind(opened.key))


def certificates(data: bytes, what: str) -> list[x509.Certificate]:
    """The certificates of a file, PEM or DER. Raises AuthorityRefused; `what` is the file in a word."""
    _require_size(data)
    try:
        return reading.certificates_in(data)
    except UNREADABLE:
        raise AuthorityRefused(
            f"The {what} cannot be read: it is no certificate in PEM or DER. Look at what it is with "
            "openssl x509 -in FILE -noout -text."
        ) from None


def require_authority(certificate: x509.Certificate, now: datetime) -> None:
    """Raise AuthorityRefused, or keys.KeyRefused, unless a certificate is that of a CA which can sign now."""
    keys.certified(_public_key(certificate))
    constraints = extensions.value_of(certificate, x509.BasicConstraints)
    if constraints is None:
        raise AuthorityRefused(
            f"The certificate does not say that it is a CA's (X.509 {certificate.version.name}, without "
            "basicConstraints), and many programs would not take it for one. Sign it again with the same key "
            "and name, which devices take as well (docs/moving-in.md, “A CA without extensions”)."
        )
    if not constraints.ca:
        raise AuthorityRefused(
            "The certificate is no CA's: its basicConstraints say CA:FALSE. Give that of the CA which signed "
            "the devices' certificates."
        )
    usage = extensions.value_of(certificate, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        raise AuthorityRefused(
            "The certificate's keyUsage does not allow it to sign certificates (keyCertSign is missing)."
        )
    _require_time(certificate, now)
    _require_signature(certificate)


def remarks(certificate: x509.Certificate) -> Iterator[str]:
    """What somebody should know of a CA that `require_authority` lets pass."""
    if _has_weak_hash(certificate):
        yield (
            f"It is signed with {reading.signature_in_words(certificate)}. Of a root nobody relies on that; "
            "what it signs here is signed with SHA-256 or better."
        )
    usage = extensions.value_of(certificate, x509.KeyUsage)
    if usage is None:
        yield "It has no keyUsage. Verifiers take it; those that are strict (OpenSSL's -x509_strict) do not."
    elif not usage.crl_sign:
        yield "Its keyUsage does not allow it to sign CRLs (cRLSign): verifiers may refuse its CRLs."
    if extensions.value_of(certificate, x509.SubjectKeyIdentifier) is None:
        yield "It has no subjectKeyIdentifier; what it signs names its key by the usual hash."
    constraints = extensions.value_of(certificate, x509.BasicConstraints)
    if constraints is not None and constraints.path_length is not None:
        yield (
            f"Its path length is {constraints.path_length}: at most so many CAs may stand below it, and so "
            "it can vouch for no root that comes after it. Publish that one in time."
        )
    if extensions.value_of(certificate, x509.NameConstraints) is not None:
        yield "It has nameConstraints: verifiers refuse certificates for names outside of them."
    allowed = extensions.value_of(certificate, x509.ExtendedKeyUsage)
    if allowed is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in allowed:
        yield "Its extendedKeyUsage lacks clientAuth: its devices are refused on the secure listener."


def _opened_p12(data: bytes, passphrase: str | None) -> pkcs12.PKCS12KeyAndCertificates:
    opened = key_files.open_p12(data, passphrase)
    if opened is not None:
        return opened
    if passphrase:
        raise WrongPassphrase(
            "The PKCS#12 file does not open with this passphrase, or it is damaged, or none. Try it with "
            "openssl pkcs12 -in FILE -noout (and -legacy, if it is old)."
        )
    raise PassphraseNeeded("The PKCS#12 file is encrypted, or is none; give its passphrase.")


def _matched(found: Sequence[x509.Certificate], key: IssuerKey) -> Brought:
    """The certificate of this key among those that were found, and the others. Raises keys.KeyRefused."""
    public = key.public_key()
    keys.certified(public)
    own = next((each for each in found if reading.public_key(each) == public), None)
    if own is None:
        raise AuthorityRefused(
            f"The key is not that of the certificate {reading.subject_of(found[0])}: the two do not belong "
            "together. Compare openssl x509 -in ca.pem -noout -pubkey with openssl pkey -in ca.key -pubout."
        )
    return Brought(own, key, tuple(each for each in found if each != own))


def _public_key(certificate: x509.Certificate) -> keys.CertifiedKey:
    key = reading.public_key(certificate)
    if key is None:
        raise AuthorityRefused("The certificate's key is of a kind that cannot be read.")
    return keys.certified(key)[1]


def _require_time(certificate: x509.Certificate, now: datetime) -> None:
    when = reading.time_of(certificate, now)
    if when is Time.OVER:
        raise AuthorityRefused(
            f"The CA ended on {certificate.not_valid_after_utc:%Y-%m-%d}: nobody takes what it signs any "
            "more. Make a new CA, and enroll the devices with it."
        )
    if when is Time.NOT_YET:
        raise AuthorityRefused(
            f"The CA is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC; look whether "
            "this machine's clock is right."
        )


def _require_signature(certificate: x509.Certificate) -> None:
    if reading.is_self_issued(certificate):
        # MD5 is not verified any more by anything; and nobody relies on a root's own signature.
        if not _has_weak_hash(certificate) and not chains.signed_by(certificate, certificate):
            raise AuthorityRefused(
                "The certificate names itself as its issuer, and its own key did not sign it: it is damaged, "
                "or another certificate of the same name is the root."
            )
    elif _has_weak_hash(certificate):
        raise AuthorityRefused(
            f"The CA above signed it with {reading.signature_in_words(certificate)}, which programs of today "
            "refuse. Have it signed again with SHA-256, with the same key and name."
        )


def _has_weak_hash(certificate: x509.Certificate) -> bool:
    try:
        return isinstance(certificate.signature_hash_algorithm, hashes.MD5 | hashes.SHA1)
    except UNREADABLE:
        return True


def _require_size(data: bytes) -> None:
    if len(data) > LARGEST:
        raise AuthorityRefused(f"The file has more than {LARGEST:,} bytes; that is no certificate or key.")
