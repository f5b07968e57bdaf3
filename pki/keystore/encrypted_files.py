"""A keystore in a folder: one PKCS#8 file (RFC 5958) a key, PEM, encrypted with one passphrase."""

import os
import re
import secrets
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509 import ocsp
from OpenSSL import SSL

from pki.core import audit_proof, extensions, keys
from pki.keystore import holding, pkcs8
from pki.keystore.base import AUDIT, Builder, KeystoreError, Signed
from pki.keystore.files import make_private_folder, remedy, sync_folder, write_private

# Exactly these: a class of somebody else's would be handed the private key.
_BUILDERS = (x509.CertificateBuilder, x509.CertificateRevocationListBuilder, ocsp.OCSPResponseBuilder)
_REFERENCE = re.compile(r"file:([a-z0-9-]+)")
_MARK = 6  # random bytes in a reference
_FOR_STATEMENTS = re.compile(rf"file:{AUDIT}-[0-9a-f]{{{2 * _MARK}}}")


class EncryptedFiles:
    """Keys in `folder`, mode 0600, PBES2 with AES-256-CBC; each is decrypted once and then kept in memory."""

    def __init__(self, folder: Path, passphrase: str) -> None:
        self._folder = folder
        self._passphrase = passphrase
        self._opened: dict[str, keys.IssuerKey] = {}
        self._lock = threading.Lock()
        self._is_held = False

    def hold(self) -> None:
        with self._lock:
            self._hold()

    def create(self, label: str, spec: str) -> str:
        return self.import_key(label, keys.generate(spec))

    def import_key(self, label: str, key: keys.IssuerKey) -> str:
        slug = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")
        reference = f"file:{slug}-{secrets.token_hex(_MARK)}"
        try:
            make_private_folder(self._folder)
            self.hold()
            write_private(self._path(reference), pkcs8.encrypt(key, self._passphrase), replace=False)
        except OSError as error:
            raise KeystoreError(
                f"The key folder {self._folder} cannot be written ({error.strerror}); {remedy(error)}."
            ) from error
        return reference

    def discard(self, reference: str) -> None:
        path = self._path(reference)
        with self._lock:
            self._opened.pop(reference, None)
        try:
            path.unlink(missing_ok=True)
            sync_folder(path.parent)
        except OSError as error:
            raise KeystoreError(
                f"The key file {path} cannot be deleted ({error.strerror}); delete it by hand."
            ) from error

    def copies(self) -> dict[str, bytes]:
        self.hold()
        try:
            paths = [
                path
                for path in sorted(self._folder.glob("*.pem"))
                if _REFERENCE.fullmatch(f"file:{path.stem}")
            ]
            return {path.name: path.read_bytes() for path in paths}
        except OSError as error:
            raise KeystoreError(
                f"The key file {error.filename} cannot be read ({error.strerror}); run as its owner."
            ) from error

    def has(self, reference: str) -> bool:
        path = self._path(reference)
        try:
            return path.exists()
        except OSError as error:
            raise KeystoreError(
                f"The key folder {path.parent} cannot be entered ({error.strerror}); run as its owner."
            ) from error

    def signs_statements(self, reference: object) -> bool:
        return (
            isinstance(reference, str)
            and _FOR_STATEMENTS.fullmatch(reference) is not None
            and self.has(reference)
        )

    def public_key(self, reference: str) -> keys.CertifiedKey:
        return keys.certified(self._open(reference).public_key())[1]

    def sign(self, reference: str, to_be_signed: Builder[Signed]) -> Signed:
        key = self._open(reference)
        if type(to_be_signed) not in _BUILDERS:
            raise TypeError("The keystore signs certificates, CRLs and OCSP answers only.")
        return to_be_signed.sign(key, keys.signature_hash(key))

    def sign_message(
        self,
        reference: str,
        content: bytes,
        signer: x509.Certificate,
        chain: Sequence[x509.Certificate] = (),
    ) -> bytes:
        key = self._open(reference)
        if isinstance(key, ed25519.Ed25519PrivateKey):
            raise ValueError("Messages are signed with EC and RSA keys only.")
        if key.public_key() != signer.public_key():
            raise ValueError("The signer's certificate is for another key.")
        constraints = extensions.value_of(signer, x509.BasicConstraints)
        if constraints is None or constraints.ca:
            raise ValueError("A CA's key signs no messages.")
        builder = pkcs7.PKCS7SignatureBuilder().set_data(content)
        builder = builder.add_signer(signer, key, keys.signature_hash(key) or hashes.SHA256())
        for certificate in chain:
            builder = builder.add_certificate(certificate)
        # As the bytes are: text would have its line ends changed.
        return builder.sign(Encoding.DER, [pkcs7.PKCS7Options.Binary, pkcs7.PKCS7Options.NoCapabilities])

    def sign_statement(self, reference: str, statement: str) -> bytes:
        key = self._open(reference)
        if not (_FOR_STATEMENTS.fullmatch(reference) and isinstance(key, ec.EllipticCurvePrivateKey)):
            raise ValueError("Statements are signed by keys that were made for it only.")
        # What begins with these words can be taken for nothing else that is signed.
        if not any(statement.startswith(f"{what}\n") for what in audit_proof.STATEMENTS):
            raise ValueError("This is no statement about the audit trail.")
        return key.sign(statement.encode(), ec.ECDSA(hashes.SHA256()))

    def install(self, reference: str, context: SSL.Context) -> None:
        context.use_privatekey(self._open(reference))

    def _open(self, reference: str) -> keys.IssuerKey:
        with self._lock:
            if reference not in self._opened:
                self._opened[reference] = self._load(reference)
            return self._opened[reference]

    def _load(self, reference: str) -> keys.IssuerKey:
        path = self._path(reference)
        self._hold()
        try:
            return pkcs8.decrypt(path.read_bytes(), self._passphrase)
        except OSError as error:
            raise KeystoreError(
                f"The key file {path} cannot be read ({error.strerror}); restore it from a backup, "
                "or copy keys/ from the first node."
            ) from error
        except pkcs8.DoesNotOpen as error:
            raise KeystoreError(
                f"The key file {path} does not open with this passphrase, or is damaged; "
                "check PORTAL_KEY_PASSPHRASE, run change_passphrase again if it was interrupted, "
                "or restore the file from a backup."
            ) from error
        except pkcs8.CannotSign as error:
            raise KeystoreError(
                f"The key file {path} holds a kind of key that cannot sign certificates."
            ) from error

    def _hold(self) -> None:
        # A node whose keys are yet to be copied has nothing to hold.
        if not self._is_held and self._folder.is_dir():
            weakref.finalize(self, os.close, holding.share(self._folder))
            self._is_held = True

    def _path(self, reference: str) -> Path:
        # Also what keeps a reference that was tampered with inside the folder.
        match = _REFERENCE.fullmatch(reference)
        if match is None:
            raise KeystoreError(f"{reference!r} is not a key of this keystore.")
        return self._folder / f"{match[1]}.pem"
