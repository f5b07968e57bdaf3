"""Certificates and keys in the files that clients read."""

from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from pki.core import der
from pki.core.keys import IssuerKey

# OWASP's figure of 2023 for PBKDF2 with SHA-256.
PKCS12_ROUNDS = 600_000
# Old readers are slow: RFC 7292 appendix B takes one SHA-1 a round, and they do it several times over.
LEGACY_ROUNDS = 50_000


def pem(certificates: Iterable[x509.Certificate]) -> bytes:
    """Certificates in PEM (RFC 7468 5), in the order given: a leaf first makes a chain (RFC 8446 4.4.2)."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def pem_request(request: x509.CertificateSigningRequest) -> bytes:
    """A CSR in PEM (RFC 7468 7)."""
    return request.public_bytes(Encoding.PEM)


def private_key_pem(key: IssuerKey) -> bytes:
    """A private key in PEM, PKCS#8 (RFC 5958), not encrypted: for a device's own file alone."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def pkcs12_modern(
    name: str,
    key: IssuerKey,
    certificate: x509.Certificate,
    chain: Iterable[x509.Certificate],
    password: str,
) -> bytes:
    """A PKCS#12 file (RFC 7292) with today's algorithms: PBES2, AES-256-CBC, SHA-256 MAC."""
    encryption = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(PKCS12_ROUNDS)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(hashes.SHA256())
        .build(password.encode())
    )
    return pkcs12.serialize_key_and_certificates(name.encode(), key, certificate, list(chain), encryption)


def pkcs12_legacy(
    name: str,
    key: IssuerKey,
    certificate: x509.Certificate,
    chain: Iterable[x509.Certificate],
    password: str,
) -> bytes:
    """The same with PBE-SHA1-3DES and a SHA-1 MAC, for readers that know nothing newer.

    Those are iOS before 15, Android before 12 and Windows before 10 1709. The algorithms are weak: the
    password must not be.
    """
    encryption = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(LEGACY_ROUNDS)
        .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
        .hmac_hash(hashes.SHA1())  # noqa: S303  what the old readers check
        .build(password.encode())
    )
    return pkcs12.serialize_key_and_certificates(name.encode(), key, certificate, list(chain), encryption)


def java_truststore(certificates: Iterable[x509.Certificate]) -> bytes:
    """A PKCS#12 file that Java reads as a truststore: each certificate has Oracle's trustedKeyUsage,
    without which Java takes such a file for empty.

    Nothing in it is secret, so it has no password and no MAC: Java opens it with any password, and with none.
    """
    entries = [
        pkcs12.PKCS12Certificate(certificate, f"root-{number}".encode())
        for number, certificate in enumerate(certificates, 1)
    ]
    made = pkcs12.serialize_java_truststore(entries, NoEncryption())
    # RFC 7292 4: a version, what is kept, and a MAC that may be left out. With one, of an empty password,
    # Java would refuse every other password, and keytool takes no empty one.
    pfx = der.children(made)[0].content
    _, kept, *_ = der.children(pfx)
    return der.sequence(pfx[: kept.end])


def pem_with_key(
    key: IssuerKey, certificate: x509.Certificate, chain: Iterable[x509.Certificate], password: str | None
) -> bytes:
    """A private key in PEM, PKCS#8, encrypted (RFC 5958 3) if there is a password, then the certificates."""
    if password is None:
        return private_key_pem(key) + pem([certificate, *chain])
    encryption = BestAvailableEncryption(password.encode())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption) + pem([certificate, *chain])
