"""What a client proves itself with: a private key, its certificate, and those above it, from files."""

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_pem_private_key,
    pkcs12,
)

from pki.core import pins, reading
from pki.core.errors import UNREADABLE, Refusal
from pki.core.parts import Kind, Recognised

SigningKey = (
    rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
)


class CredentialRefused(Refusal):
    """Files hold nothing that a client could prove itself with."""

    code = "credential_refused"


@dataclass(frozen=True)
class Credential:
    """A certificate and the key that it is for. Its words show neither."""

    certificate: x509.Certificate
    key: SigningKey
    chain: tuple[x509.Certificate, ...] = ()

    def __repr__(self) -> str:
        return "Credential(…)"


def read(recognised: Recognised, files: Sequence[tuple[bytes, str]]) -> Credential:
    """The certificate among the parts that one of their private keys is for. Raises CredentialRefused.

    `recognised` is what was found in the files, without private keys. Each of `files` is its bytes and its
    password.
    """
    if any(finding.code == "too_many_rounds" for finding in recognised.findings):
        raise CredentialRefused(
            "It would take too long to open; export it again with the usual number of rounds."
        )
    found = (_key(data, password) for data, password in files)
    keys = {pins.spki_sha256(key.public_key()): key for key in found if key is not None}
    certificates = [each.certificate for each in recognised.of(Kind.CERTIFICATE) if each.certificate]
    for certificate in certificates:
        public = reading.public_key(certificate)
        key = keys.get(pins.spki_sha256(public)) if public is not None else None
        if key is not None:
            return Credential(certificate, key, tuple(each for each in certificates if each != certificate))
    if not certificates:
        raise CredentialRefused("There is no certificate to show: give one with --cert, or a P12 with --p12.")
    if not keys:
        raise CredentialRefused(
            "There is no private key that opens: give it with --key, and its password if it has one."
        )
    raise CredentialRefused("The private key fits none of the certificates that were given with it.")


def _key(data: bytes, password: str) -> SigningKey | None:
    secrets = (password.encode(), None) if password else (None, b"")
    for load in (_of_pkcs12, load_pem_private_key, load_der_private_key):
        for each in secrets:
            try:
                key = load(data, each)
            except UNREADABLE:
                continue
            if isinstance(key, SigningKey):
                return key
    return None


def _of_pkcs12(data: bytes, password: bytes | None) -> object:
    return pkcs12.load_pkcs12(data, password).key
