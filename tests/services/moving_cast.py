"""A CA that somebody has run with OpenSSL: its files, and what it has issued."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pki.core import keys

PASSPHRASE = "correct horse battery staple"
DAY = timedelta(days=1)
UNUSED = ec.generate_private_key(ec.SECP256R1())  # of devices whose key no test uses


def name(common_name: str | None, organization: str | None = "Example") -> x509.Name:
    pairs = ((NameOID.ORGANIZATION_NAME, organization), (NameOID.COMMON_NAME, common_name))
    return x509.Name(x509.NameAttribute(oid, value) for oid, value in pairs if value is not None)


@dataclass
class OldCa:
    """The folder of `openssl ca`."""

    folder: Path
    now: datetime
    key: Any = field(default_factory=lambda: keys.generate("P-256"))
    subject: x509.Name = field(default_factory=lambda: name("Example Root CA"))
    # As OpenSSL's own openssl.cnf has it: no keyUsage.
    extensions: list[x509.ExtensionType] = field(
        default_factory=lambda: [x509.BasicConstraints(ca=True, path_length=None)]
    )
    begun: timedelta = -365 * DAY
    ends: timedelta = 3650 * DAY
    signer: "OldCa | None" = None
    digest: Any = field(default_factory=hashes.SHA256)
    serial: int = 0xCA

    def __post_init__(self) -> None:
        (self.folder / "newcerts").mkdir(parents=True, exist_ok=True)
        self.lines: list[str] = []
        signer = self.signer or self
        builder = self._builder(self.subject, self.key, signer.subject, self.serial, self.begun, self.ends)
        identifier = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())
        for extension in (*self.extensions, identifier):
            critical = isinstance(extension, x509.BasicConstraints)
            builder = builder.add_extension(extension, critical=critical)
        self.certificate = self._signed(builder, signer.key, self.digest)
        self.write("ca.pem", self.certificate.public_bytes(Encoding.PEM))
        self.write("ca.key", self.pem(PASSPHRASE))

    def pem(self, passphrase: str | None, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
        encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
        return self.key.private_bytes(Encoding.PEM, form, encryption)

    def write(self, file: str, data: bytes) -> str:
        path = self.folder / file
        path.write_bytes(data)
        return str(path)

    def issue(
        self,
        common_name: str | None,
        serial: int,
        *extensions: x509.ExtensionType,
        key: Any = UNUSED,
        organization: str | None = "Example",
        revoked: str | None = None,
        status: str = "V",
        copy: bool = True,
        line: bool = True,
        begun: timedelta = -10 * DAY,
        ends: timedelta = 365 * DAY,
    ) -> x509.Certificate:
        """Sign a certificate; a copy in newcerts and a line in the index, as `openssl ca` keeps them.

        `revoked` is when and why, as the index says it.
        """
        subject = name(common_name, organization)
        builder = self._builder(subject, key, self.subject, serial, begun, ends)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        certificate = self._signed(builder, self.key, hashes.SHA256())
        if copy:
            self.write(f"newcerts/{serial:02X}.pem", certificate.public_bytes(Encoding.PEM))
        if line:
            written = "".join(f"/{each.rfc4514_attribute_name}={each.value}" for each in subject)
            end = f"{certificate.not_valid_after_utc:%y%m%d%H%M%SZ}"
            state = "R" if revoked else status
            self.lines.append("\t".join([state, end, revoked or "", f"{serial:02X}", "unknown", written]))
            self.write("index.txt", "\n".join([*self.lines, ""]).encode())
        return certificate

    @property
    def words(self) -> list[str]:
        """What `import_ca` is given for the CA alone."""
        secret = self.write("passphrase", PASSPHRASE.encode() + b"\n")
        return [
            "--cert",
            f"{self.folder}/ca.pem",
            "--key",
            f"{self.folder}/ca.key",
            "--passphrase-file",
            secret,
        ]

    @property
    def issued(self) -> list[str]:
        """The same for what it has issued."""
        return ["--index", f"{self.folder}/index.txt", "--certs", f"{self.folder}/newcerts"]

    def _builder(
        self, subject: x509.Name, key: Any, issuer: x509.Name, serial: int, begun: timedelta, ends: timedelta
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(serial)
            .not_valid_before(self.now + begun)
            .not_valid_after(self.now + ends)
        )

    def _signed(self, builder: x509.CertificateBuilder, key: Any, digest: Any) -> x509.Certificate:
        return builder.sign(key, None if "Ed25519" in type(key).__name__ else digest)


CLIENT = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
