"""OCSP requests in every shape, well formed or not, and what comes back read by cryptography."""

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from tests.core.cast import tlv

SHA1, SHA256 = hashes.SHA1(), hashes.SHA256()  # noqa: S303
NONCE = b"0123456789abcdef"

_NONCE = bytes.fromhex("06092b0601050507300102")  # id-pkix-ocsp-nonce
_STRANGE = bytes.fromhex("06062b0601040163")  # nobody's
_SHA1 = bytes.fromhex("300906052b0e03021a0500")


def asked(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    algorithm: hashes.HashAlgorithm = SHA1,
    nonce: bytes | None = None,
) -> bytes:
    """A request as cryptography builds it, DER."""
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, algorithm)
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def asked_by_hash(
    name_hash: bytes, key_hash: bytes, serial: int, algorithm: hashes.HashAlgorithm = SHA1
) -> bytes:
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(name_hash, key_hash, serial, algorithm)
    return builder.build().public_bytes(Encoding.DER)


def single(
    name_hash: bytes = b"n" * 20,
    key_hash: bytes = b"k" * 20,
    serial: bytes = b"\1",
    *,
    extensions: bytes = b"",
    algorithm: bytes = _SHA1,
) -> bytes:
    """One certificate's part of a request; the serial is the content of its INTEGER."""
    cert_id = tlv(0x30, algorithm + tlv(0x04, name_hash) + tlv(0x04, key_hash) + tlv(0x02, serial))
    return tlv(0x30, cert_id + (tlv(0xA0, tlv(0x30, extensions)) if extensions else b""))


def whole(*singles: bytes, extensions: bytes = b"", signature: bytes = b"", requestor: bytes = b"") -> bytes:
    """A request around these parts."""
    tbs = tlv(0xA1, requestor) if requestor else b""
    tbs += tlv(0x30, b"".join(singles))
    tbs += tlv(0xA2, tlv(0x30, extensions)) if extensions else b""
    return tlv(0x30, tlv(0x30, tbs) + (tlv(0xA0, signature) if signature else b""))


def nonce(value: bytes) -> bytes:
    """The nonce extension (RFC 9654 2.1)."""
    return tlv(0x30, _NONCE + tlv(0x04, tlv(0x04, value)))


def strange(*, critical: bool) -> bytes:
    """An extension that nobody knows."""
    return tlv(0x30, _STRANGE + (b"\x01\x01\xff" if critical else b"") + tlv(0x04, b"\x05\x00"))


def signature() -> bytes:
    """A signature of somebody, that proves nothing."""
    ecdsa_with_sha256 = bytes.fromhex("300a06082a8648ce3d040302")
    return tlv(0x30, ecdsa_with_sha256 + tlv(0x03, b"\0" + b"s" * 70))


def told(der: bytes) -> str:
    """What an answer says, in a word: `good`, `revoked`, `unknown`, or the error's name."""
    response = ocsp.load_der_ocsp_response(der)
    if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        return response.response_status.name.lower()
    return response.certificate_status.name.lower()
