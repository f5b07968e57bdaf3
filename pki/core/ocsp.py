"""OCSP (RFC 6960, in the light profile of RFC 5019): requests as they are read, answers unsigned.

Signing is the keystore's.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.ocsp import OCSPCertStatus, OCSPResponseStatus
from cryptography.x509.oid import OCSPExtensionOID

from pki.core import der, pins
from pki.core.errors import UNREADABLE, Refusal
from pki.core.identifiers import LARGEST_SERIAL

# Bytes, DER: one certificate's request has about 120, and one that is signed brings certificates along.
LARGEST_REQUEST = 16 * 1024
# RFC 9654 2.1, octets
SHORTEST_NONCE, LONGEST_NONCE = 1, 128
# Hashes of certIDs by which issuers are known here: that of RFC 5019, and the one that new clients use.
HASHES: dict[str, type[hashes.HashAlgorithm]] = {"sha1": hashes.SHA1, "sha256": hashes.SHA256}
_UNDERSTOOD = {OCSPExtensionOID.NONCE, OCSPExtensionOID.ACCEPTABLE_RESPONSES}
_SINGLE_EXTENSIONS = 0xA0  # [0] EXPLICIT, after a request's certID
_BOOLEAN = 0x01
_CRITICAL = b"\x01\x01\xff"  # TRUE


class OcspRefused(Refusal):
    """A request that is answered with an OCSP error, which has no room for a sentence."""

    code = "ocsp_refused"
    status: ClassVar[OCSPResponseStatus]


class MalformedRequest(OcspRefused):
    """These bytes are no request that can be answered."""

    code = "ocsp_malformed"
    status = OCSPResponseStatus.MALFORMED_REQUEST


class SeveralCertificates(MalformedRequest):
    """It asks about more than one certificate, which RFC 5019 2.1.1 leaves out."""

    code = "ocsp_several_certificates"


class NonceRefused(MalformedRequest):
    """Its nonce is shorter or longer than RFC 9654 2.1 allows."""

    code = "ocsp_nonce"


class CriticalExtension(MalformedRequest):
    """It has a critical extension that is not understood here."""

    code = "ocsp_critical_extension"


class NotAuthoritative(OcspRefused):
    """It asks about an issuer of somebody else (RFC 5019 2.2.3: unauthorized)."""

    code = "ocsp_not_authoritative"
    status = OCSPResponseStatus.UNAUTHORIZED


class UnknownHash(NotAuthoritative):
    """Its certID is made with a hash by which issuers are not known here.

    The request is well formed; so it is unauthorized, which tells the client to ask otherwise, and not
    malformed.
    """

    code = "ocsp_unknown_hash"


@dataclass(frozen=True, slots=True)
class CertificateId:
    """Whose status is asked (certID, RFC 6960 4.1.1)."""

    algorithm: str  # a key of HASHES
    issuer_name_hash: bytes
    issuer_key_hash: bytes
    serial: int


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked: of one certificate."""

    certificate: CertificateId
    nonce: bytes | None  # to be echoed


@dataclass(frozen=True, slots=True)
class Status:
    """What an answer says (certStatus, RFC 6960 4.2.1)."""

    of: OCSPCertStatus
    revoked_at: datetime | None = None  # UTC, whole seconds
    reason: x509.ReasonFlags | None = None


GOOD = Status(OCSPCertStatus.GOOD)
UNKNOWN = Status(OCSPCertStatus.UNKNOWN)


def revoked(at: datetime, reason: str) -> Status:
    """Revoked since `at`, for a reason by its name in RFC 5280 5.3.1."""
    # RFC 5280 5.3.1: unspecified is said by leaving the reason out.
    flag = None if reason == "unspecified" else x509.ReasonFlags(reason)
    return Status(OCSPCertStatus.REVOKED, at.replace(microsecond=0), flag)


def read(data: bytes) -> Request:
    """Read a request, DER. Its signature, if it has one, is not asked for, and so not looked at.

    Raises MalformedRequest, SeveralCertificates, NonceRefused, CriticalExtension or UnknownHash.
    """
    try:
        request = ocsp.load_der_ocsp_request(data)
        serial, extensions = request.serial_number, request.extensions
    except NotImplementedError:
        raise SeveralCertificates("Ask about one certificate a request.") from None
    except UNREADABLE:
        raise MalformedRequest("This is not an OCSP request in DER.") from None
    if not 0 <= serial <= LARGEST_SERIAL:
        raise MalformedRequest("A serial number is not negative and has at most 20 octets.")
    if _has_critical_single_extension(data):
        raise CriticalExtension("The request has a critical extension that is not understood here.")
    nonce = _nonce(extensions)
    try:
        algorithm = request.hash_algorithm.name
    except UnsupportedAlgorithm:
        algorithm = ""
    if algorithm not in HASHES:
        raise UnknownHash("Name the issuer by SHA-1 or SHA-256.")
    asked = CertificateId(algorithm, request.issuer_name_hash, request.issuer_key_hash, serial)
    return Request(asked, nonce)


def from_path(encoded: str) -> bytes:
    """The DER of a GET's path, after percent-decoding: base64 (RFC 6960 A.1). Raises MalformedRequest.

    What does no harm is let pass: missing padding, and a slash too many before it, of clients that join a
    URL that ends with one.
    """
    text = encoded.lstrip("/").rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise MalformedRequest("The path is not base64.") from None


def hashes_of(issuer: x509.Certificate) -> list[tuple[str, bytes, bytes]]:
    """By which hashes requests name an issuer: algorithm, hash of its name, hash of its key."""
    # The key's bits alone, without algorithm and tag (RFC 6960 4.1.1).
    _, bits = der.children(der.children(pins.spki(issuer.public_key()))[0].content)
    key = bits.content[1:]  # the first octet counts unused bits
    name = issuer.subject.public_bytes()
    return [(each, hashlib.new(each, name).digest(), hashlib.new(each, key).digest()) for each in HASHES]


def answer(
    request: Request,
    status: Status,
    responder: x509.Certificate,
    this_update: datetime,
    next_update: datetime,
) -> ocsp.OCSPResponseBuilder:
    """An answer, unsigned, by a delegated responder whose certificate goes along (RFC 6960 4.2.2.2).

    producedAt is the moment of signing, which cryptography reads from the system's clock.
    """
    asked = request.certificate
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response_by_hash(
            asked.issuer_name_hash,
            asked.issuer_key_hash,
            asked.serial,
            HASHES[asked.algorithm](),
            status.of,
            this_update,
            next_update,
            status.revoked_at,
            status.reason,
        )
        # RFC 5019 2.2.1: by its key, which is shorter than its name.
        .responder_id(ocsp.OCSPResponderEncoding.HASH, responder)
        .certificates([responder])
    )
    if request.nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(request.nonce), critical=False)
    return builder


def error(status: OCSPResponseStatus) -> bytes:
    """An OCSP error, DER: it is not signed (RFC 6960 2.3)."""
    return ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)


def _nonce(extensions: x509.Extensions) -> bytes | None:
    nonce = None
    for extension in extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD:
            raise CriticalExtension("The request has a critical extension that is not understood here.")
        if isinstance(extension.value, x509.OCSPNonce):
            nonce = extension.value.nonce
            if not SHORTEST_NONCE <= len(nonce) <= LONGEST_NONCE:
                raise NonceRefused(f"A nonce has {SHORTEST_NONCE} to {LONGEST_NONCE} octets.")
    return nonce


def _has_critical_single_extension(data: bytes) -> bool:
    # cryptography parses these and shows them to nobody. None is understood, so a critical one refuses.
    if _CRITICAL not in data:
        return False
    tbs = der.children(der.children(data)[0].content)[0]
    listed = next(value for value in der.children(tbs.content) if value.tag == der.SEQUENCE)
    of_single = der.children(der.children(listed.content)[0].content)[1:]
    return any(
        part.tag == _BOOLEAN
        for tagged in of_single
        if tagged.tag == _SINGLE_EXTENSIONS
        for sequence in der.children(tagged.content)
        for extension in der.children(sequence.content)
        for part in der.children(extension.content)
    )
