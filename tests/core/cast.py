"""The cast of these tests: keys of every kind, requests in every shape, and issuers that sign."""

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding

from pki.core import certificates, csr, keys, names, profiles
from pki.core.profiles import ExtendedKeyUsage, Record, Rules
from tests.clients import make_csr

MOMENT = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
ALL_KINDS = frozenset(keys.KeyKind)

POINTERS = certificates.Pointers(
    ca="http://status.example:8080/ca/0a1b.crt",
    ocsp="http://status.example:8080/ocsp",
    crl="http://status.example:8080/crl/0a1b.crl",
)


@cache
def private_key(kind: str) -> Any:
    """The one private key of this kind that all tests share."""
    match kind:
        case "P-256":
            return ec.generate_private_key(ec.SECP256R1())
        case "P-384":
            return ec.generate_private_key(ec.SECP384R1())
        case "P-521":
            return ec.generate_private_key(ec.SECP521R1())
        case "secp256k1":
            return ec.generate_private_key(ec.SECP256K1())
        case "Ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case "Ed448":
            return ed448.Ed448PrivateKey.generate()
        case "X25519":
            return x25519.X25519PrivateKey.generate()
        case "DSA":
            return dsa.generate_private_key(1024)  # noqa: S505  quickly made, and refused anyway
    return rsa.generate_private_key(65537, int(kind.removeprefix("RSA-")))


def rsa_public_key(bits: int, exponent: int = 65537) -> rsa.RSAPublicKey:
    """An RSA public key of exactly this size. Nobody has its private half, so it costs no primes."""
    return rsa.RSAPublicNumbers(exponent, (1 << (bits - 1)) | 1).public_key()


def block(label: str, der: bytes) -> bytes:
    """A PEM block (RFC 7468)."""
    return (
        f"-----BEGIN {label}-----\n".encode() + base64.encodebytes(der) + f"-----END {label}-----\n".encode()
    )


def csr_der(common_name: str | None = "door-1", **wishes: Any) -> bytes:
    """A CSR in DER; its wishes are those of `make_csr`."""
    return x509.load_pem_x509_csr(make_csr(common_name, **wishes)).public_bytes(Encoding.DER)


def verified(common_name: str | None = None, **wishes: Any) -> csr.VerifiedRequest:
    """A request that was proven; its wishes are those of `make_csr`."""
    return csr.verify(make_csr(common_name, **{"key": private_key("P-256"), **wishes}))


def request_info(der: bytes) -> bytes:
    """What a CSR's signature covers, its CertificationRequestInfo (RFC 2986 4.1)."""
    return x509.load_der_x509_csr(der).tbs_certrequest_bytes


def signed_anew(info: bytes) -> bytes:
    """A CSR in DER around any bytes at all, with a signature that is good if the P-256 key is inside.

    A hostile device signs what it likes, so this is how far its bytes come.
    """
    signature = private_key("P-256").sign(info, ec.ECDSA(hashes.SHA256()))
    ecdsa_with_sha256 = bytes.fromhex("300a06082a8648ce3d040302")  # RFC 5758 3.2
    return tlv(0x30, info + ecdsa_with_sha256 + tlv(0x03, b"\0" + signature))


def tlv(tag: int, content: bytes) -> bytes:
    """DER (X.690 8.1.3): short lengths in one byte, long ones after a count."""
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    counted = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(counted)]) + counted + content


def read_back(sans: list[x509.GeneralName]) -> list[x509.GeneralName]:
    """SANs as they come out of DER again."""
    request = x509.load_pem_x509_csr(make_csr(key=private_key("P-256"), sans=sans))
    return list(request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)


@dataclass(frozen=True)
class Ca:
    """A root and an issuing CA under it, both with keys of one kind."""

    root: x509.Certificate
    issuing: x509.Certificate
    issuing_key: Any
    root_key: Any

    @property
    def authority(self) -> certificates.Authority:
        return certificates.Authority(self.issuing, POINTERS)


def sign(builder: x509.CertificateBuilder, key: Any) -> x509.Certificate:
    return builder.sign(key, keys.signature_hash(key))


@cache
def ca(kind: str = "P-256") -> Ca:
    """The one CA whose keys are of this kind."""
    root_key, issuing_key = keys.generate(kind), keys.generate(kind)
    root = sign(
        certificates.root(
            names.subject({"CN": "Test Root CA"}), root_key.public_key(), 20 * 365 * DAY, MOMENT
        ),
        root_key,
    )
    issuing = sign(
        certificates.subordinate(
            names.subject({"CN": "Test Issuing CA"}),
            issuing_key.public_key(),
            10 * 365 * DAY,
            certificates.Authority(root, POINTERS),
            MOMENT,
        ),
        root_key,
    )
    return Ca(root, issuing, issuing_key, root_key)


def rules(usage: ExtendedKeyUsage = ExtendedKeyUsage.CLIENT_AUTH, **more: Any) -> Rules:
    """A profile's rules; without more, for devices that choose nothing."""
    return Rules(**{"key_kinds": ALL_KINDS, "lifetime": 30 * DAY, "extended_key_usages": (usage,), **more})


def record(name: str = "door-1", *sans: str, **subject: str) -> Record:
    return Record(name, subject, tuple(names.parse_san(san) for san in sans))


def issued(
    issuer: Ca,
    whose: Record,
    usage: ExtendedKeyUsage = ExtendedKeyUsage.CLIENT_AUTH,
    *,
    key_kind: str = "P-256",
    now: datetime = MOMENT,
) -> x509.Certificate:
    """An end entity's certificate."""
    request = verified(key=private_key(key_kind))
    allowed = rules(usage)
    granted = profiles.grant(allowed, whose, request)
    builder = certificates.end_entity(allowed, granted, request.key, issuer.authority, now)
    return sign(builder, issuer.issuing_key)
