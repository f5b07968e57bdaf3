"""Certification requests (PKCS#10, RFC 2986) as they arrive, and as they are once proven.

`verify` is the only way to a VerifiedRequest, and issuance takes nothing else.
"""

import re
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key

from pki.core import keys, names, pins
from pki.core.errors import UNREADABLE, Refusal

# The largest key that is accepted (RSA-4096) with a generous subject makes a CSR of under 4 KiB.
LARGEST_CSR = 64 * 1024  # bytes

# RFC 7468 7: explanatory text may stand around the block, and NEW is an older label.
_LABELS = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,64})-----")
_CSR_LABELS = (b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST")
_DER_SEQUENCE = b"\x30"  # the first byte of every CSR in DER


class CsrMissing(Refusal):
    """Nothing was sent."""

    code = "csr_missing"


class CsrTooLarge(Refusal):
    """More was sent than any CSR needs."""

    code = "csr_too_large"


class CsrNotPem(Refusal):
    """What was sent is not PEM."""

    code = "csr_not_pem"


class CsrWrongLabel(Refusal):
    """What was sent is PEM, but not a CSR."""

    code = "csr_wrong_label"


class PrivateKeySent(CsrWrongLabel):
    """Somebody sent a private key. It is not kept, not logged, and spoilt."""

    code = "private_key_sent"

    def __init__(self) -> None:
        super().__init__(
            "This holds a private key. It was not kept, but a key that was sent is no longer "
            "secret: make a new one, and send only the CSR."
        )


class CsrMalformed(Refusal):
    """The PEM block does not hold a PKCS#10 request."""

    code = "csr_malformed"


class CsrForged(Refusal):
    """The request is not signed by the key that it holds."""

    code = "csr_signature_invalid"


@dataclass(frozen=True)
class VerifiedRequest:
    """A CSR whose signature proves that its sender holds the private key, and whose key is certifiable.

    The names are what the sender *wishes*; nothing in them is true yet.
    """

    der: bytes
    key: keys.CertifiedKey
    key_kind: keys.KeyKind
    spki_sha256: str
    subject: dict[str, str]  # short attribute name → value
    sans: tuple[names.San, ...]
    ignored: tuple[str, ...]  # wishes that no profile can grant, in words

    @property
    def common_name(self) -> str | None:
        return self.subject.get("CN")

    @property
    def parsed(self) -> x509.CertificateSigningRequest:
        return x509.load_der_x509_csr(self.der)


def verify(pem: bytes) -> VerifiedRequest:
    """A PEM CSR, proven.

    Raises CsrMissing, CsrTooLarge, CsrNotPem, CsrWrongLabel (PrivateKeySent), CsrMalformed,
    CsrForged or keys.KeyRefused.
    """
    return _verified(_parse(pem))


def verify_der(der: bytes) -> VerifiedRequest:
    """The same for a CSR in DER, as it is stored."""
    try:
        return _verified(x509.load_der_x509_csr(der))
    except UNREADABLE as error:
        raise CsrMalformed("This is not a PKCS#10 request.") from error


def verify_file(data: bytes) -> VerifiedRequest:
    """The same for a file that a person chose: PEM, or DER."""
    if _LABELS.search(data) or not data.startswith(_DER_SEQUENCE):
        return verify(data)
    if len(data) > LARGEST_CSR:
        raise CsrTooLarge(f"A CSR has at most {LARGEST_CSR} bytes.")
    if _is_private_key(data):
        raise PrivateKeySent
    return verify_der(data)


def made(key: keys.IssuerKey, common_name: str) -> VerifiedRequest:
    """A request for a key that is at hand, with a name and no other wish. Raises names.NameRefused."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(names.subject({"CN": common_name}))
    return _verified(builder.sign(key, keys.signature_hash(key)))


def is_the_same(one: bytes, other: bytes) -> bool:
    """Whether two CSRs (DER) say the same: key, names and wishes. Their signatures may differ.

    RFC 2986 4: what is signed is the certificationRequestInfo; ECDSA signs it differently each time.
    """
    parsed = (x509.load_der_x509_csr(each) for each in (one, other))
    return len({each.tbs_certrequest_bytes for each in parsed}) == 1


def _is_private_key(der: bytes) -> bool:
    try:
        load_der_private_key(der, None)
    except TypeError:  # it is one, and encrypted
        return True
    except (ValueError, UnsupportedAlgorithm):
        return False
    return True


def _verified(csr: x509.CertificateSigningRequest) -> VerifiedRequest:
    try:
        public_key = csr.public_key()
    except UNREADABLE as error:
        raise keys.KeyRefused(_unreadable_key(error)) from error
    key_kind, key = keys.certified(public_key)
    if key_kind is keys.KeyKind.RSA and pins.spki(key) not in csr.tbs_certrequest_bytes:
        # RFC 4055 1.2: the certificate would be for rsaEncryption, and not fit a key that is bound to PSS.
        raise keys.KeyRefused("The RSA key is bound to RSASSA-PSS; use a plain one.")
    try:
        weak = isinstance(csr.signature_hash_algorithm, hashes.MD5 | hashes.SHA1)
        signed = not weak and csr.is_signature_valid
    except UNREADABLE as error:
        raise CsrForged("The CSR's signature algorithm is not supported; use SHA-256.") from error
    if weak:
        raise CsrForged("The CSR is signed with a broken hash; use SHA-256.")
    if not signed:
        # RFC 2986 3: the signature is the proof of possession.
        raise CsrForged("The CSR's signature does not match its key; make the CSR anew.")
    subject, sans, ignored = _wishes(csr)
    return VerifiedRequest(
        der=csr.public_bytes(Encoding.DER),
        key=key,
        key_kind=key_kind,
        spki_sha256=pins.spki_sha256(key),
        subject=subject,
        sans=sans,
        ignored=ignored,
    )


def _parse(pem: bytes) -> x509.CertificateSigningRequest:
    if not pem.strip():
        raise CsrMissing("The body is empty; post the CSR in PEM form.")
    if len(pem) > LARGEST_CSR:
        raise CsrTooLarge(f"A CSR has at most {LARGEST_CSR} bytes.")
    labels = _LABELS.findall(pem)
    if not labels:
        raise CsrNotPem("The body is not PEM; it must begin with -----BEGIN CERTIFICATE REQUEST-----.")
    if any(label.endswith(b"PRIVATE KEY") for label in labels):
        raise PrivateKeySent
    if labels[0] not in _CSR_LABELS or len(labels) > 1:
        raise CsrWrongLabel(
            "One CERTIFICATE REQUEST is expected; "
            f"this holds {', '.join(label.decode().strip() or 'nothing' for label in labels[:3])}."
        )
    try:
        return x509.load_pem_x509_csr(pem)
    except UNREADABLE as error:
        raise CsrMalformed("The PEM block is cut short or is not a PKCS#10 request.") from error


def _wishes(
    csr: x509.CertificateSigningRequest,
) -> tuple[dict[str, str], tuple[names.San, ...], tuple[str, ...]]:
    try:
        subject = names.subject_attributes(csr.subject)
        extensions = csr.extensions
    except UNREADABLE as error:
        raise CsrMalformed("The CSR's subject or extensions are malformed, or stand twice.") from error
    sans: list[names.San] = []
    ignored: list[str] = []
    for extension in extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            sans, unknown = names.sans_of(extension.value)
            ignored += [f"SAN {kind}" for kind in unknown]
        else:
            ignored.append(f"extension {extension.oid.dotted_string}")
    return subject, tuple(sans), tuple(ignored)


def _unreadable_key(error: Exception) -> str:
    if isinstance(error, UnsupportedAlgorithm):
        return "The key is of an unknown kind; use P-256, P-384, Ed25519 or RSA of 2048 to 4096 bits."
    return "The key in the CSR is malformed; make a new key and CSR."
