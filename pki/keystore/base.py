"""What every keystore can do. A PKCS#11 token will be another one of these."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from cryptography import x509
from cryptography.x509 import ocsp
from OpenSSL import SSL

from pki.core.keys import CertifiedKey, IssuerKey

# The label of keys that sign statements about the audit trail.
AUDIT = "audit-checkpoints"

Signed = TypeVar(
    "Signed", x509.Certificate, x509.CertificateRevocationList, ocsp.OCSPResponse, covariant=True
)


class Builder(Protocol[Signed]):
    """One of cryptography's builders of what is signed; `Signed` is what comes of it."""

    def sign(self, private_key: Any, algorithm: Any) -> Signed: ...


class KeystoreError(Exception):
    """A key cannot be made, found or opened; the message says what to do and holds no secret."""


class Keystore(Protocol):
    """Keeps private keys, and uses them for others. No method hands a private key out.

    A key goes by its reference, a string that the keystore makes and the database keeps.
    """

    def hold(self) -> None:
        """Keep the passphrase of the keys from being changed for as long as this process lives.

        Whoever opens or makes a key does so anyway. Raises KeystoreError while it is being changed.
        """
        ...

    def create(self, label: str, spec: str) -> str:
        """Make a key of kind `spec` (see `pki.core.keys.generate`) and return its reference."""
        ...

    def import_key(self, label: str, key: IssuerKey) -> str:
        """Keep a key that was made elsewhere, encrypted as all others, and return its reference."""
        ...

    def discard(self, reference: str) -> None:
        """Delete a key that was kept a moment ago for what did not come about: nothing refers to it, and
        nothing may. Raises KeystoreError.
        """
        ...

    def copies(self) -> dict[str, bytes]:
        """What a backup keeps of it: files by their names, still encrypted. Raises KeystoreError."""
        ...

    def has(self, reference: str) -> bool:
        """Whether this keystore has the key, without opening it."""
        ...

    def signs_statements(self, reference: object) -> bool:
        """Whether this keystore has the key, and created it with the label AUDIT, without opening it.

        False for whatever else stands in a database. Raises KeystoreError if nobody can look.
        """
        ...

    def public_key(self, reference: str) -> CertifiedKey:
        """The public half of a key. Raises KeystoreError."""
        ...

    def sign(self, reference: str, to_be_signed: Builder[Signed]) -> Signed:
        """Sign a certificate, a CRL or an OCSP answer, with the hash that belongs to the key.

        Raises KeystoreError, or TypeError for anything else: it would be handed the key.
        """
        ...

    def sign_message(
        self,
        reference: str,
        content: bytes,
        signer: x509.Certificate,
        chain: Sequence[x509.Certificate] = (),
    ) -> bytes:
        """CMS SignedData (RFC 5652 5) around `content`, DER, by the key of `signer`; its `chain` comes along.

        Raises KeystoreError, or ValueError unless `signer` is that key's, is no CA, and the key is EC or RSA.
        """
        ...

    def sign_statement(self, reference: str, statement: str) -> bytes:
        """ECDSA with SHA-256 over a statement about the audit trail (`pki.core.audit_proof`), DER, by a key
        that was created with the label AUDIT.

        Raises KeystoreError, or ValueError for another key or another text.
        """
        ...

    def install(self, reference: str, context: SSL.Context) -> None:
        """Let a TLS context use a key, for a listener's own certificate. Raises KeystoreError."""
        ...
