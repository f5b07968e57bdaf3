"""Servers that make the mistakes that everybody makes: `openssl s_server`, set up wrong on purpose."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

from pki.core import certificates, names, profiles
from pki.core.profiles import ExtendedKeyUsage
from tests.clients import needs
from tests.core import cast
from tests.server import free_ports

SERVER, CLIENT = ExtendedKeyUsage.SERVER_AUTH, ExtendedKeyUsage.CLIENT_AUTH
DAY = timedelta(days=1)
LOCAL = ("DNS:localhost", "IP:127.0.0.1")


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def key_pem(kind: str = "P-256") -> bytes:
    return cast.private_key(kind).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def certificate(
    now: datetime, *sans: str, usage: ExtendedKeyUsage = SERVER, key_kind: str = "P-256"
) -> x509.Certificate:
    """One of the CA of the tests, for thirty days; its CN is localhost, its SANs are these alone."""
    allowed, ca = cast.rules(usage), cast.ca()
    granted = profiles.Grant(
        names.subject({"CN": "localhost"}), tuple(names.parse_san(each) for each in sans), ()
    )
    key = cast.private_key(key_kind).public_key()
    return cast.sign(certificates.end_entity(allowed, granted, key, ca.authority, now), ca.issuing_key)


def self_signed(now: datetime, key_kind: str = "P-256", subject: str = "localhost") -> x509.Certificate:
    key = cast.private_key(key_kind)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    sans = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 77, now - DAY, now + 30 * DAY)
    return builder.add_extension(sans, critical=False).sign(key, hashes.SHA256())


def revocation_list(serial: int, now: datetime) -> bytes:
    """A CRL of the CA of the tests that names this serial, PEM."""
    ca = cast.ca()
    revoked = x509.RevokedCertificateBuilder(serial, now - DAY).build()
    builder = x509.CertificateRevocationListBuilder(ca.issuing.subject, now - DAY, now + DAY)
    signed = builder.add_revoked_certificate(revoked).sign(ca.issuing_key, hashes.SHA256())
    return signed.public_bytes(Encoding.PEM)


def ocsp_answer(of: x509.Certificate, status: ocsp.OCSPCertStatus, until: datetime) -> bytes:
    """An answer of the CA of the tests itself, DER, that may be relied on for a day until then."""
    ca = cast.ca()
    revoked_at = until - DAY if status is ocsp.OCSPCertStatus.REVOKED else None
    builder = ocsp.OCSPResponseBuilder().add_response(
        of, ca.issuing, hashes.SHA256(), status, until - DAY, until, revoked_at, None
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, ca.issuing)
    return builder.sign(ca.issuing_key, hashes.SHA256()).public_bytes(Encoding.DER)


class Quiet(BaseHTTPRequestHandler):
    """A server of plain HTTP, which a handshake is a bad request to."""

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(folder: Path, shown: bytes, *options: str | Path, key_kind: str = "P-256") -> Iterator[int]:
    """The port of an s_server on the loopback that shows these certificates, PEM, its own first."""
    end = b"-----END CERTIFICATE-----\n"
    first, _, rest = shown.partition(end)
    (folder / "server.pem").write_bytes(first + end)
    (folder / "server.key").write_bytes(key_pem(key_kind))
    chain: tuple[str | Path, ...] = ()
    if rest:
        (folder / "chain.pem").write_bytes(rest)
        chain = ("-cert_chain", folder / "chain.pem")
    (port,) = free_ports(1)
    command = [
        *(needs("openssl", package="openssl"), "s_server", "-accept", f"127.0.0.1:{port}"),
        *("-cert", folder / "server.pem", "-key", folder / "server.key", *chain, *options),
    ]
    with (
        (folder / "server.log").open("wb") as log,
        subprocess.Popen(
            list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
        ) as process,
    ):
        try:
            if b"ACCEPT\n" not in iter(process.stdout or ()):
                raise RuntimeError((folder / "server.log").read_text())
            yield port
        finally:
            process.kill()
